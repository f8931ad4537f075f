# args: {"event": {"kind": "websocket", "msg": "{\"id\": 7}", "url": "wss://feed.example", "trigger_path": "f/docs/t"}}
# skip_preprocessor: false
# result: ["f/docs/t", 7]
import json


def preprocessor(event: dict):
    if event["kind"] != "websocket":
        raise ValueError(f"not for {event['kind']}")
    return {"source": event["trigger_path"], "order_id": json.loads(event["msg"])["id"]}


def main(source: str, order_id: int):
    return [source, order_id]
