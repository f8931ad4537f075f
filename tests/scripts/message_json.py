# args: {"msg": "{\"price\": 12.5, \"symbol\": \"ACME\"}"}
# result: {"symbol": "ACME", "cents": 1250}
import json


def main(msg: str):
    tick = json.loads(msg)
    return {"symbol": tick["symbol"], "cents": round(tick["price"] * 100)}
