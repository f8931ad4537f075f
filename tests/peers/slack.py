"""Plays Slack's Socket Mode: tickets for one connection each, hello, envelopes that are sent until acknowledged.

Command: `envelope` (of `kind`, with `payload`; goes to the newest connection, again after a reconnect).
"""

import itertools
import json
from http import HTTPStatus
from urllib.parse import parse_qs, urlparse

from steered import Service, http, run, tell


class Slack(Service):
    def __init__(self):
        super().__init__()
        self.tickets = set()
        self.numbers = itertools.count(1)
        self.open = {}  # envelope id -> envelope that is not acknowledged
        self.newest = None

    async def before(self):
        self.server, self.http_port = await http(self.answer)

    def more_ports(self):
        return {"http_port": self.http_port}

    def answer(self, method, path, headers):
        if (method, path) != ("POST", "/api/apps.connections.open"):
            return 404, {}
        if headers.get("authorization") != "Bearer xapp-token":
            return 200, {"ok": False, "error": "invalid_auth"}
        ticket = f"ticket-{next(self.numbers)}"
        self.tickets.add(ticket)
        return 200, {"ok": True, "url": f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id=A1"}

    async def admit(self, connection, request):
        ticket = parse_qs(urlparse(request.path).query).get("ticket", [""])[0]
        if ticket not in self.tickets:
            tell("refused", path=request.path)
            return connection.respond(HTTPStatus.UNAUTHORIZED, "bad ticket\n")
        self.tickets.remove(ticket)

    async def talk(self, number, connection):
        self.newest = connection
        await connection.send(json.dumps({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}))
        for envelope in list(self.open.values()):
            await connection.send(json.dumps({**envelope, "retry_attempt": 1}))
        async for text in connection:
            message = json.loads(text)
            known = self.open.pop(message.get("envelope_id"), None) is not None
            tell("acknowledged", connection=number, known=known, message=message)

    async def do_envelope(self, name, kind, payload):
        envelope = {"envelope_id": name, "type": kind, "accepts_response_payload": kind == "slash_commands",
                    "payload": payload}
        self.open[name] = envelope
        await self.newest.send(json.dumps(envelope))

    async def do_disconnect(self):
        await self.newest.send(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
        await self.newest.close()


run(Slack())
