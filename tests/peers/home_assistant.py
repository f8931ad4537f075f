"""Plays Home Assistant's WebSocket API: auth chain, commands whose ids must grow, events of a subscription.

Command: `state` (an event `state_changed` for every subscription of the newest connection).
"""

import json

from steered import Service, run, tell

TOKEN = "home-token"


class Hub(Service):
    def __init__(self):
        super().__init__()
        self.subscriptions = []  # (connection, id)

    async def talk(self, number, connection):
        await connection.send(json.dumps({"type": "auth_required", "ha_version": "2026.11.1"}))
        auth = json.loads(await connection.recv())
        if auth.get("type") != "auth" or auth.get("access_token") != TOKEN:
            tell("auth_invalid", connection=number)
            await connection.send(json.dumps({"type": "auth_invalid", "message": "Invalid access token or password"}))
            await connection.close()
            return
        await connection.send(json.dumps({"type": "auth_ok", "ha_version": "2026.11.1"}))
        last = 0
        async for text in connection:
            message = json.loads(text)
            tell("command", connection=number, **{"command": message})
            if not isinstance(message.get("id"), int) or message["id"] <= last:
                error = {"code": "id_reuse", "message": "Identifier values have to increase."}
                await connection.send(json.dumps({"id": message.get("id"), "type": "result", "success": False,
                                                  "error": error}))
                tell("id_reuse", connection=number)
                continue
            last = message["id"]
            if message["type"] == "ping":
                await connection.send(json.dumps({"id": last, "type": "pong"}))
                continue
            if message["type"] == "subscribe_events":
                self.subscriptions.append((connection, last))
            await connection.send(json.dumps({"id": last, "type": "result", "success": True, "result": None}))

    async def do_state(self, entity, state):
        connection, number = self.subscriptions[-1]
        data = {"entity_id": entity, "old_state": None, "new_state": {"entity_id": entity, "state": state}}
        event = {"event_type": "state_changed", "data": data, "origin": "LOCAL"}
        await connection.send(json.dumps({"id": number, "type": "event", "event": event}))


run(Hub())
