"""Plays an exchange's market stream: SUBSCRIBE, numbered answers, trades, pings that must be answered, a daily cut.

Commands: `trade` (for every subscriber), `ping` (tells `pong`), `cut` (ends every connection as after 24 hours).
"""

import json

from steered import Service, run, tell


class Exchange(Service):
    def __init__(self):
        super().__init__()
        self.streams = {}  # connection -> names

    async def talk(self, number, connection):
        async for text in connection:
            message = json.loads(text)
            if message.get("method") != "SUBSCRIBE" or not isinstance(message.get("params"), list):
                await connection.send(json.dumps({"code": 2, "msg": "Invalid request", "id": message.get("id")}))
                continue
            self.streams.setdefault(connection, set()).update(message["params"])
            await connection.send(json.dumps({"result": None, "id": message["id"]}))
            tell("subscribed", connection=number, params=message["params"])

    def open(self):
        return [connection for connection in self.streams if connection.state.name == "OPEN"]

    async def do_trade(self, symbol, price, quantity):
        for connection in self.open():
            if f"{symbol.lower()}@trade" in self.streams[connection]:
                await connection.send(json.dumps({"e": "trade", "E": 1, "s": symbol, "p": price, "q": quantity}))

    async def do_ping(self):
        for connection in self.open():
            await (await connection.ping(b"1700000000000"))
            tell("pong")

    async def do_cut(self):
        for connection in self.open():
            await connection.close(1008, "24h")


run(Exchange())
