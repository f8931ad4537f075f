"""Calls everything of the published `wmill` (PyPI) that a program outside of jobs may want; prints what came back as JSON.

Its environment is that of a job, as far as the library reads it: BASE_INTERNAL_URL, WM_TOKEN, WM_WORKSPACE, WM_STATE_PATH.
"""

import json
import os
import time
import warnings

import wmill

warnings.simplefilter("ignore")
client = wmill.Windmill()
told = {}
hash_ = os.environ["HASH"]


def until(look, wanted):
    """Looks until it is so; the test that started this program has the deadline."""
    while (seen := look()) != wanted:
        time.sleep(0.1)
    return seen


def error(call):
    try:
        return call()
    except Exception as problem:
        return str(problem)


told["whoami"] = wmill.whoami()["username"]
told["version"] = client.version.startswith("windsock v")
told["workspace"] = wmill.get_workspace()
told["email"] = wmill.username_to_email("admin")

told["run_script"] = wmill.run_script_by_path("u/admin/double", args={"n": 21})
told["run_script_by_hash"] = wmill.run_script_by_hash(hash_, args={"n": 4})
told["run_script_old"] = wmill.run_script("u/admin/double", args={"n": 2})
told["failure"] = error(lambda: wmill.run_script_by_path("u/admin/fails", args={}))
told["missing"] = "404" in error(lambda: wmill.run_script_by_path("u/admin/none", args={}))
# It fails twice, and is run again under the same id.
policy = {"constant": {"attempts": 2, "seconds": 0}}
told["retried"] = client.wait_job(wmill.Windmill().run_script_by_path_async("u/admin/third_time", args={"name": "py"}, retry=policy))
told["bad_retry"] = error(lambda: wmill.Windmill().run_script_by_path_async("u/admin/double", retry={"constant": {"attempts": "many"}}))
told["tagged"] = wmill.get_job(wmill.Windmill().run_script_by_path_async("u/admin/double", args={"n": 1}, tag="mine"))["tag"]
job = wmill.run_script_by_path_async("u/admin/double", args={"n": 5})
told["wait_job"] = client.wait_job(job)
told["get_result"] = wmill.get_result(job)
told["status"] = wmill.get_job_status(job)
told["get_job"] = wmill.get_job(job)["script_path"]
told["root"] = wmill.get_root_job_id(job) == job
late = wmill.run_script_by_hash_async(hash_, args={"n": 6}, scheduled_in_secs=100000)
told["late"] = wmill.get_job_status(late)
told["canceled_late"] = late in wmill.cancel_job(late, "not needed")
told["result_late"] = wmill.get_result(late)["error"]["name"]
told["inline"] = client.run_inline_script_preview("export const main = (n: number) => n + 0.5", "nativets", {"n": 4})
told["inline_elsewhere"] = client.post(
    f"/w/{client.workspace}/jobs/run_wait_result/preview", json={"content": "echo $((6 * 7))", "language": "bash"}
).json()
flow = wmill.run_flow_async("f/tools/flow", args={"n": 7})
told["flow"] = client.wait_job(flow)

slow = wmill.run_script_by_path_async("u/admin/slow", args={})
until(lambda: wmill.get_job_status(slow), "RUNNING")
told["draining"] = wmill.worker_is_draining(slow)
wmill.set_progress(40, slow)
told["progress"] = wmill.get_progress(slow)
os.environ["WM_JOB_PATH"] = "u/admin/slow"
told["cancel_running"] = list(wmill.Windmill().cancel_running()) == [slow]
told["canceled"] = until(lambda: wmill.get_job_status(slow), "COMPLETED")

os.environ["WM_JOB_ID"] = flow
wmill.set_flow_user_state("key", {"a": [1]})
told["flow_user_state"] = wmill.get_flow_user_state("key")
told["no_approvals"] = [error(wmill.get_resume_urls), error(lambda: wmill.get_resume_urls("ann", True)), error(wmill.get_approval_urls)]
del os.environ["WM_JOB_ID"]
streamed = wmill.run_script_by_path_async("u/admin/streams", args={})
told["streamed"] = client.wait_job(streamed)
seen = client.get(f"/w/{client.workspace}/jobs_u/getupdate/{streamed}", params={"log_offset": 0, "stream_offset": 0}).json()
told["stream"] = seen["new_result_stream"]

wmill.set_variable("u/admin/py_plain", "one")
wmill.set_variable("u/admin/py_plain", "two")
wmill.set_variable("u/admin/py_secret", "hidden", is_secret=True)
told["variables"] = [wmill.get_variable(p) for p in ("u/admin/py_plain", "var://u/admin/py_plain", "u/admin/py_secret")]
told["no_variable"] = "404" in error(lambda: wmill.get_variable("u/admin/none"))
wmill.set_resource("u/admin/py_res", {"a": 1, "password": "$var:u/admin/py_secret"}, "any")
wmill.set_resource("u/admin/py_res", {"a": 2, "password": "$var:u/admin/py_secret"})
told["resource"] = [wmill.get_resource(p) for p in ("u/admin/py_res", "$res:u/admin/py_res", "res://u/admin/py_res")]
told["no_resource"] = error(lambda: wmill.get_resource("u/admin/none", none_if_undefined=True))
told["as_saved"] = client.get_resource("u/admin/py_res", interpolated=False)
told["resources"] = sorted(one["path"] for one in wmill.list_resources("any"))
told["state"] = [wmill.get_state()]
for value in ({"last": 1}, {"last": 2}):
    wmill.set_state(value)
    told["state"].append(wmill.get_state())
told["token"] = wmill.Windmill(token=client.create_token()).whoami()["username"] if hasattr(client, "create_token") else None
print(json.dumps(told))
