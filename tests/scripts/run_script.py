# args: {}
# result: [42, "the helper refuses -1", true]
import wmill


def main():
    result = wmill.run_script_by_path("f/docs/double_nativets", args={"n": 21})
    try:
        wmill.run_script_by_path("f/docs/double_nativets", args={"n": -1})
        error = None
    except Exception as failure:
        error = "the helper refuses -1" if "refuses -1" in str(failure) else str(failure)
    job = wmill.run_script_async("f/docs/double_nativets", args={"n": 1}, scheduled_in_secs=3600)
    wmill.cancel_job(job, reason="not needed")
    return [result, error, wmill.get_job_status(job) in ("COMPLETED", "WAITING")]
