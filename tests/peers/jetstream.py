"""Plays a Jetstream: numbered events from a cursor in the URL on, inclusive, at a steady pace.

Commands: `publish` (`count` events more; every second one is a create).
"""

import asyncio
import json
from urllib.parse import parse_qs, urlparse

from steered import Service, run, tell

FIRST = 1_700_000_000_000_000
PAUSE = 0.002


class Jetstream(Service):
    def __init__(self):
        super().__init__()
        self.count = 0

    async def talk(self, number, connection):
        query = parse_qs(urlparse(connection.request.path).query)
        at = int(query["cursor"][0]) - FIRST if "cursor" in query else self.count
        tell("from", connection=number, n=at)
        while True:
            while at >= self.count:
                await asyncio.sleep(PAUSE)
                if connection.close_code is not None:
                    return
            record = {"operation": "update" if at % 2 else "create", "record": {"text": f"post {at}"}}
            await connection.send(json.dumps({"did": "did:plc:a", "time_us": FIRST + at, "kind": "commit",
                                              "commit": record}))
            at += 1
            await asyncio.sleep(PAUSE)

    async def do_publish(self, count):
        self.count += count


run(Jetstream())
