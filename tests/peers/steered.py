"""What the servers of the tests share: one JSON command a line on stdin, one JSON event a line on stdout.

A command is `{"id": 1, "do": "send", "to": 1, …}`; it is answered with `{"event": "done", "id": 1}`. Everything that
happens is an event with `at`, seconds of the wall clock. A server ends when stdin closes, so it never outlives its
test. It knows nothing of windsock and holds no expectation beyond those of the service it plays.
"""

import argparse
import asyncio
import base64
import json
import sys
import time
from http import HTTPStatus

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

tasks = set()  # asyncio itself only holds tasks weakly


def tell(event, **fields):
    print(json.dumps({"event": event, "at": time.time(), **fields}), flush=True)


def keep(coroutine):
    task = asyncio.create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def obey_lines(obey):
    """Hands every command to `obey(do, fields)`, one after the other, until stdin closes."""
    stdin = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while line := await stdin.readline():
        command = json.loads(line)
        number = command.pop("id")
        try:
            await obey(command.pop("do"), command)
            tell("done", id=number)
        except Exception as error:
            tell("done", id=number, error=f"{type(error).__name__}: {error}")


class Service:
    """One service: `talk` is its side of a connection, each method `do_<name>` a command."""

    serve_options = {}  # for `serve`, besides the usual ones

    def __init__(self):
        self.connections = {}  # number -> connection, also closed ones: a test may ask for any

    def arguments(self, parser):
        """Adds options of its own to the command line."""

    def tls(self):
        """An SSL context, for a `wss` server."""

    async def admit(self, connection, request):
        """Answers the handshake with something else than the upgrade, if it returns a response."""

    async def talk(self, number, connection):
        raise NotImplementedError

    async def serve_connection(self, connection):
        number = len(self.connections) + 1
        self.connections[number] = connection
        request = connection.request
        tell("accepted", connection=number, path=request.path, headers=list(request.headers.raw_items()),
             subprotocol=connection.subprotocol)
        try:
            await self.talk(number, connection)
        except ConnectionClosed:
            pass
        await connection.wait_closed()
        tell("closed", connection=number, code=connection.close_code, reason=connection.close_reason)

    async def obey(self, do, fields):
        await getattr(self, f"do_{do}")(**fields)

    async def do_send(self, to, texts):
        for text in texts:
            await self.connections[to].send(text)

    async def do_close(self, to, code=1000, reason=""):
        await self.connections[to].close(code, reason)

    async def do_drop(self, to):
        self.connections[to].transport.abort()

    async def main(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--port", type=int, default=0)
        self.arguments(parser)
        self.options = parser.parse_args()
        options = {"ping_interval": None, "open_timeout": None, "max_queue": None, "close_timeout": 5,
                   "compression": None, **self.serve_options}
        async with serve(self.serve_connection, "127.0.0.1", self.options.port, reuse_port=True,
                         process_request=self.admit, ssl=self.tls(), **options) as server:
            self.port = server.sockets[0].getsockname()[1]
            await self.before()
            tell("listening", port=self.port, **self.more_ports())
            await obey_lines(self.obey)
            for connection in self.connections.values():
                connection.transport.abort()

    async def before(self):
        """What has to stand before the first connection."""

    def more_ports(self):
        return {}


def run(service):
    asyncio.run(service.main())


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def http(answer):
    """A small HTTP server beside the WebSocket one: `answer(method, path, headers)` gives a status and a body."""

    async def on_client(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        status, body = answer(method, path, headers)
        text = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]
