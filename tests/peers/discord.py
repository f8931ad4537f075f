"""Plays Discord's gateway (version 10): HELLO, IDENTIFY or RESUME, heartbeats, numbered events, sessions, close codes.

Commands: `event` (an event with `data` in the newest session, delivered now or at a RESUME), `silence_acks`,
`forget_sessions`, `revoke_token`.
"""

import itertools
import json

from steered import Service, run, tell

HELLO, IDENTIFY, HEARTBEAT, DISPATCH, RESUME, INVALID, ACK = 10, 2, 1, 0, 6, 9, 11


class Gateway(Service):
    def __init__(self):
        super().__init__()
        self.sessions = {}  # id -> {"events": [...], "connection": connection or None}
        self.newest = None
        self.numbers = itertools.count(1)
        self.acks = True
        self.token = "bot-token"

    async def talk(self, number, connection):
        await self.say(connection, HELLO, {"heartbeat_interval": 300, "_trace": []})
        session = None
        async for text in connection:
            message = json.loads(text)
            op, data = message["op"], message["d"]
            if op == HEARTBEAT:
                tell("heartbeat", connection=number, d=data)
                if self.acks:
                    await self.say(connection, ACK, None)
            elif session:
                await connection.close(4005, "Already authenticated.")
            elif op in (IDENTIFY, RESUME) and data["token"] != self.token:
                await connection.close(4004, "Authentication failed.")
            elif op == IDENTIFY:
                tell("identify", connection=number, data=data)
                self.newest = session = f"session-{next(self.numbers)}"
                self.sessions[session] = {"events": [], "connection": connection}
                # Another name of this very server: who resumes elsewhere than told is found out.
                ready = {"session_id": session, "resume_gateway_url": f"ws://localhost:{self.port}", "user": {}}
                await self.dispatch(session, "READY", ready)
            elif op == RESUME:
                tell("resume", connection=number, data=data)
                known = self.sessions.get(data["session_id"])
                if known is None:
                    await self.say(connection, INVALID, False)
                    continue
                if data["seq"] > len(known["events"]):
                    await connection.close(4007, "Invalid seq.")
                    continue
                session = data["session_id"]
                for event in known["events"][data["seq"]:]:
                    await connection.send(event)
                known["connection"] = connection
                await self.dispatch(session, "RESUMED", {})
            else:
                await connection.close(4003, "Not authenticated.")
        # Closing with 1000 or 1001 ends the session, any other end keeps it.
        if session and connection.close_code in (1000, 1001):
            self.sessions.pop(session, None)

    async def say(self, connection, op, data):
        await connection.send(json.dumps({"op": op, "d": data, "s": None, "t": None}))

    async def dispatch(self, session, name, data):
        session = self.sessions[session]
        text = json.dumps({"op": DISPATCH, "d": data, "s": len(session["events"]) + 1, "t": name})
        session["events"].append(text)
        connection = session["connection"]
        if connection and connection.state.name == "OPEN":
            await connection.send(text)

    async def do_event(self, data):
        await self.dispatch(self.newest, "MESSAGE_CREATE", data)

    async def do_silence_acks(self):
        self.acks = False

    async def do_forget_sessions(self):
        self.sessions.clear()

    async def do_revoke_token(self):
        self.token = None
        for connection in self.connections.values():
            connection.transport.abort()


run(Gateway())
