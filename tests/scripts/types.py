# args: {"raw": "aGVsbG8=", "when": "2026-01-31T12:30:00Z", "kind": "a", "tags": ["x"], "conf": {"a": 1}}
# result: ["hello", 2026, "a", ["x"], {"a": 1}, null]
from datetime import datetime
from typing import Literal


def main(raw: bytes, when: datetime, kind: Literal["a", "b"], tags: list[str], conf: dict, note: str | None = None):
    return [raw.decode(), when.year, kind, tags, conf, note]
