"""Plays a Nostr relay (NIP-01): REQ with kinds and since, stored events, EOSE, live events, NOTICE.

Command: `publish` (an event with `kind` and `content`, now).
"""

import hashlib
import json
import time

from steered import Service, run, tell


class Relay(Service):
    def __init__(self):
        super().__init__()
        self.events = []
        self.subscriptions = {}  # connection -> (name, wanted)

    async def talk(self, number, connection):
        async for text in connection:
            match json.loads(text):
                case ["REQ", str(name), {"kinds": list(), "since": int()} as wanted]:
                    tell("req", connection=number, name=name, wanted=wanted)
                    for event in self.events:
                        await self.offer(connection, name, wanted, event)
                    await connection.send(json.dumps(["EOSE", name]))
                    self.subscriptions[connection] = (name, wanted)
                case _:
                    await connection.send(json.dumps(["NOTICE", "error: bad message"]))

    async def offer(self, connection, name, wanted, event):
        if event["kind"] in wanted["kinds"] and event["created_at"] >= wanted["since"]:
            await connection.send(json.dumps(["EVENT", name, event]))

    async def do_publish(self, kind, content):
        event = {"kind": kind, "content": content, "created_at": int(time.time()), "pubkey": "00" * 32, "tags": []}
        event["id"] = hashlib.sha256(f"{len(self.events)} {content}".encode()).hexdigest()
        self.events.append(event)
        for connection, (name, wanted) in self.subscriptions.items():
            if connection.state.name == "OPEN":
                await self.offer(connection, name, wanted, event)


run(Relay())
