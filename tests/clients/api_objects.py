"""Hooks of schemathesis for windsock's API: objects that are really there, so that requests get past "not found".

What schemathesis makes up is kept in some requests, and in others its paths, ids and a few fields of bodies are replaced by
those of objects made here. The choice depends on nothing but the request. Needs WINDSOCK_URL and WINDSOCK_TOKEN.
"""

import json
import os
import random
import urllib.request

import hypothesis
import schemathesis

URL, TOKEN = os.environ["WINDSOCK_URL"], os.environ["WINDSOCK_TOKEN"]
EACH = 12  # objects of a kind: some requests delete or rename them
# Schemathesis has hypothesis climb towards accepted requests; that expects the same answer to the same request, which a
# server with objects that come and go does not give, and breaks with an IndexError.
hypothesis.target = lambda *_, **__: None


def post(path, body):
    request = urllib.request.Request(f"{URL}/api/{path}", json.dumps(body).encode(), {
        "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def script(path, content="true"):
    return {"path": path, "summary": "", "description": "", "content": content, "language": "bash"}


def trigger(path):
    return {"path": path, "script_path": "u/admin/script0", "is_flow": False, "url": "wss://feed.example/", "filters": [],
            "mode": "disabled", "can_return_message": False, "can_return_error_result": False}


FLOW = {"modules": [{"id": "a", "value": {"type": "rawscript", "language": "bash", "content": "true", "input_transforms": {}}}]}
KNOWN = {kind: [] for kind in ("script", "hash", "flow", "trigger", "variable", "resource", "folder", "job", "number")}
for n in range(EACH):
    post("w/main/folders/create", {"name": f"folder{n}"})
    KNOWN["folder"].append(f"folder{n}")
    KNOWN["hash"].append(post("w/main/scripts/create", script(f"u/admin/script{n}")))
    KNOWN["script"].append(f"u/admin/script{n}")
    post("w/main/flows/create", {"path": f"f/folder{n}/flow", "summary": "", "value": FLOW})
    KNOWN["flow"].append(f"f/folder{n}/flow")
    post("w/main/websocket_triggers/create", trigger(f"u/admin/trigger{n}"))
    KNOWN["trigger"].append(f"u/admin/trigger{n}")
    post("w/main/variables/create", {"path": f"u/admin/variable{n}", "value": "x", "is_secret": n % 2 == 1, "description": ""})
    KNOWN["variable"].append(f"u/admin/variable{n}")
    post("w/main/resources/create", {"path": f"u/admin/resource{n}", "value": {"a": n}, "resource_type": "any"})
    KNOWN["resource"].append(f"u/admin/resource{n}")
    KNOWN["job"].append(post(f"w/main/jobs/run/p/u/admin/script{n}", {"x": n}))
    KNOWN["number"].append(str(n))
GROUPS = {"/scripts/": "script", "/flows/": "flow", "websocket": "trigger", "/variables/": "variable",
          "/resources/": "resource", "/folders/": "folder", "/jobs/run/p": "script", "/jobs/run/f": "flow",
          "/message_samples/": "trigger", "/capture/": "script", "/critical_alerts/": "number"}
FIELDS = {
    "path": None,
    "script_path": ["u/admin/script0"],
    "language": ["bash", "python3", "nativets"],
    "url": ["wss://feed.example/", "ws://127.0.0.1:1/"],
    "mode": ["disabled", "suspended"],
    "kind": ["script"],
    "name": ["folder0", "another"],
    "value": [FLOW, "x", {"a": 1}],
    "schema": [{}, None],
    "content": ["true", "def main(): return 1"],
    "initial_messages": [[], [{"raw_message": "x"}], None],
    "filters": [[], [{"key": "a", "value": 1}]],
    "email": ["admin@windsock.local"],
}


WAITS = ("/run_wait_result/", "/run_inline/", "/run_and_stream/", "/getupdate_sse/", "/websocket_triggers/try", "/websocket_triggers/test")


def kind_of(path):
    if "/h/{path}" in path:
        return "hash"
    return next((kind for part, kind in GROUPS.items() if part in path), None)


@schemathesis.hook
def before_call(context, case, kwargs):
    path, places, body = case.operation.path, case.path_parameters or {}, case.body
    kind = kind_of(path)
    choice = random.Random(f"{places} {case.query} {body}")

    def known(kind):
        return choice.choice(KNOWN[kind])

    if "workspace" in places and choice.random() < 0.97:
        places["workspace"] = "main"
    if "path" in places and kind and choice.random() < 0.6:
        places["path"] = known(kind)
    if "id" in places and choice.random() < 0.6:
        places["id"] = known("number" if "/capture/" in path else "job")
    if "kind" in places and choice.random() < 0.8:
        places["kind"] = choice.choice(["script", "flow", "trigger"])
        places["trigger_kind"] = places.get("trigger_kind") and "websocket"
        if places["trigger_kind"] is None:
            del places["trigger_kind"]
    if any(part in path for part in WAITS):
        # Answered now, not at a time that was made up; and nobody out there is dialled.
        for name in ("scheduled_for", "scheduled_in_secs"):
            (case.query or {}).pop(name, None)
        if isinstance(body, dict) and "url" in body:
            body["url"] = "ws://127.0.0.1:1/"
    elif isinstance(body, dict):
        for field, values in FIELDS.items():
            if field in body and choice.random() < 0.7:
                fresh = [f"u/admin/new{choice.randrange(30)}"]
                body[field] = choice.choice(values or fresh + ([known(kind)] if kind else []))
