"""Plays an OCPP 1.6 central system with the package `ocpp`, which holds every message against the protocol's schemas.

Commands: `call` (an `action` with `payload` for the newest charge point; tells `answer`).
"""

import ssl
from datetime import UTC, datetime
from http import HTTPStatus

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from steered import Service, basic, keep, run, tell


class Point(ChargePoint):
    @on("BootNotification")
    def on_boot(self, **payload):
        tell("boot", payload=payload)
        return call_result.BootNotification(datetime.now(UTC).isoformat(), 300, "Accepted")

    @on("Heartbeat")
    def on_heartbeat(self):
        tell("heartbeat")
        return call_result.Heartbeat(datetime.now(UTC).isoformat())


class CentralSystem(Service):
    serve_options = {"subprotocols": ["ocpp1.6"]}

    def arguments(self, parser):
        for name in ("--cert", "--key", "--client-ca"):
            parser.add_argument(name, required=True)

    def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.options.cert, self.options.key)
        context.load_verify_locations(self.options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def admit(self, connection, request):
        if request.headers.get("Authorization") != basic("CP-1", "pass/word 1"):
            tell("refused", path=request.path)
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")

    async def talk(self, number, connection):
        name = connection.transport.get_extra_info("peercert")["subject"]
        tell("certificate", connection=number, subject=str(name))
        self.newest = Point(connection.request.path.rsplit("/", 1)[-1], connection)
        await self.newest.start()

    async def do_call(self, action, payload):
        keep(self.call(getattr(call, action)(**payload)))

    async def call(self, message):
        try:
            answer = await self.newest.call(message, suppress=False)
            tell("answer", answer=vars(answer))
        except Exception as error:
            tell("answer", error=f"{type(error).__name__}: {error}")


run(CentralSystem())
