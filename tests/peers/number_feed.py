"""A feed of numbers for the fault test: each client, at `/<client>`, gets `{"n": 0}`, `{"n": 1}` …, each number once ever.

It notes when each number went out on which connection, and what came back: `{"kept": n}` (the client says that n is
durable) or `n` (its answer). Commands: `go` and `rest` (start and stop the numbers), `report` (tells `report`, with
`numbers` also everything noted).
"""

import asyncio
import json
import time
from collections import defaultdict

from steered import Service, run, tell
from websockets.exceptions import ConnectionClosed

PAUSE = 0.06  # seconds between two numbers of a client


class Numbers(Service):
    serve_options = {"max_size": None}

    def __init__(self):
        super().__init__()
        self.going = True
        self.next = defaultdict(int)  # client -> its next number
        self.sent = defaultdict(list)  # client -> [n, connection, when it went out, when it was kept, answers]
        self.accepted = {}  # connection -> when
        self.open = defaultdict(set)  # client -> connections

    async def talk(self, number, connection):
        client = connection.request.path.strip("/")
        self.accepted[number] = time.time()
        self.open[client].add(number)
        sending = asyncio.create_task(self.send(client, number, connection))
        try:
            async for text in connection:
                message = json.loads(text)
                if isinstance(message, dict):
                    self.sent[client][message["kept"]][3] = time.time()
                else:
                    self.sent[client][message][4] += 1
        finally:
            sending.cancel()
            self.open[client].discard(number)

    async def send(self, client, number, connection):
        try:
            while True:
                if self.going:
                    n = self.next[client]
                    self.next[client] += 1
                    self.sent[client].append([n, number, time.time(), None, 0])
                    await connection.send(json.dumps({"n": n}))
                await asyncio.sleep(PAUSE)
        except ConnectionClosed:
            pass

    async def do_go(self):
        self.going = True

    async def do_rest(self):
        self.going = False

    async def do_report(self, numbers=False):
        # Only of connections that stand can it be said that everything on them must be kept in the end.
        open_now = {number for numbers in self.open.values() for number in numbers}
        unkept = sum(one[3] is None for all in self.sent.values() for one in all if one[1] in open_now)
        more = {"numbers": self.sent, "accepted": self.accepted} if numbers else {}
        tell("report", open={client: len(open) for client, open in self.open.items()}, unkept=unkept,
             sent=sum(self.next.values()), **more)


run(Numbers())
