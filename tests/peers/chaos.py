"""A server that does to its clients whatever a network and a bad server can do, by a seed; or behaves, when told to.

It speaks RFC 6455 by hand, since no library sends broken frames. A client connects at `/<kind>/<number>`; what befalls
its n-th attempt depends on the seed, the number and n alone. `kind` says what the client makes of messages:

- `all`: every text and binary message becomes a job (`binary: base64`), but for `ack`
- `some`: texts with `want` do; the others do not match, and binary ones are dropped

Each message has a name of its own. What a client surely has read is known from a pong, or from a close frame in
answer to one of ours or to a broken frame. Commands: `mode` (`calm` or `chaos`), `last` (one more message to every
connection), `report` (tells `report`: what was sent and surely read, and how often each thing was done).
"""

import argparse
import asyncio
import base64
import hashlib
import json
import logging
import random
import struct
from collections import Counter, defaultdict

from steered import obey_lines, tell

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
# Every code that may stand in a close frame: RFC 6455 §7.4 and its registry, and some of the private ranges.
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3003, 3999, 4000, 4009, 4999]
MAX_MESSAGE = 65536  # the clients' `max_message_bytes`
PAD = "é€😀 "

# What may befall an attempt; the first ones before there is a connection.
REFUSALS = ["refuse", "hang_up", "garbage", "bad_accept", "status_503", "status_401", "status_429"]
ENDS = ["stay", "close", "close_empty", "abort", "half_open", "bad_utf8", "bad_utf8_in_pieces", "huge", "too_large",
        "reserved", "cut_frame", "slow"]
KINDS = REFUSALS + ENDS
STATUS = {"503": "Service Unavailable", "401": "Unauthorized", "429": "Too Many Requests"}


class World:
    """Everything the whole test shares."""

    def __init__(self, seed):
        self.seed = seed
        self.chaos = False
        self.attempts = Counter()  # client -> attempts
        self.done = Counter()  # what was done -> how often
        self.codes = 0
        self.ours = defaultdict(list)  # client -> [(name, sort)], sent
        self.read = defaultdict(list)  # client -> [(name, sort)], surely read
        self.open = {}  # client -> its newest connection


class Connection:
    """An upgraded connection."""

    def __init__(self, world, client, attempt, reader, writer, rng):
        self.world, self.client, self.attempt, self.rng = world, client, attempt, rng
        self.reader, self.writer = reader, writer
        self.sent, self.read = [], 0  # messages whole, and how many of them were surely read
        self.closing = None  # our close frame's code, "" without one; "broken" behind a broken frame
        self.over = asyncio.Event()

    def frame(self, opcode, payload=b"", fin=True, rsv=0):
        head = bytes([fin << 7 | rsv << 4 | opcode])
        if len(payload) < 126:
            head += bytes([len(payload)])
        elif len(payload) < 65536:
            head += struct.pack("!BH", 126, len(payload))
        else:
            head += struct.pack("!BQ", 127, len(payload))
        self.writer.write(head + payload)

    def message(self, sort):
        """Sends one whole message of a sort: `want`, `noise`, `ack` or `binary`; now and then in pieces."""
        name = f"{self.client}-{self.attempt}-{len(self.sent)}"
        text = json.dumps({"m": name, sort: True, "pad": PAD * self.rng.randrange(40)}, ensure_ascii=False).encode()
        opcode = BINARY if sort == "binary" else TEXT
        pieces = self.rng.choice([1, 1, 2, 5])
        for piece in range(pieces):
            part = text[len(text) * piece // pieces:len(text) * (piece + 1) // pieces]
            self.frame(opcode if piece == 0 else CONTINUATION, part, fin=piece == pieces - 1)
            if piece < pieces - 1 and self.rng.random() < 0.5:
                self.frame(PING, b"between")
        self.sent.append((name, sort))
        self.world.ours[self.client].append((name, sort))

    def ask(self):
        """A ping whose pong says that everything before it was read."""
        self.frame(PING, f"read {len(self.sent)}".encode())

    def surely_read(self, count):
        self.world.read[self.client].extend(self.sent[self.read:count])
        self.read = max(self.read, count)

    async def listen(self):
        """Reads the client's frames until its end."""
        try:
            while True:
                first, length = await self.reader.readexactly(2)
                length &= 127
                if length == 126:
                    length, = struct.unpack("!H", await self.reader.readexactly(2))
                elif length == 127:
                    length, = struct.unpack("!Q", await self.reader.readexactly(8))
                mask = await self.reader.readexactly(4)
                data = await self.reader.readexactly(length)
                data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
                opcode = first & 15
                if opcode == PING:
                    self.frame(PONG, data)
                elif opcode == PONG and data.startswith(b"read "):
                    self.surely_read(int(data[5:]))
                elif opcode == CLOSE:
                    code = struct.unpack("!H", data[:2])[0] if data else ""
                    self.world.done[f"heard {code}"] += 1
                    if code == self.closing or (self.closing == "broken" and code in (1002, 1007, 1009)):
                        self.surely_read(len(self.sent))
                    if self.closing is None:
                        self.frame(CLOSE, data)
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.over.set()

    async def wait(self, seconds):
        """Whether the client is still there after so long."""
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except asyncio.TimeoutError:
            return True
        return False

    def broken(self, write):
        self.closing = "broken"
        write()

    async def end(self, kind):
        """Ends as `kind` says."""
        rng = self.rng
        if kind == "close":
            code = self.closing = CODES[self.world.codes % len(CODES)]
            self.world.codes += 1
            self.world.done[f"closed {code}"] += 1
            self.frame(CLOSE, struct.pack("!H", code) + "bye €".encode())
        elif kind == "close_empty":
            self.closing = ""
            self.frame(CLOSE)
        elif kind == "bad_utf8":
            self.broken(lambda: self.frame(TEXT, b'{"m":"\xc3\x28"}'))
        elif kind == "bad_utf8_in_pieces":
            self.broken(lambda: (self.frame(TEXT, b'{"m":"\xe2\x82', fin=False), self.frame(CONTINUATION, b'x"}')))
        elif kind == "huge":  # announces a gigabyte: nothing may be kept ready for it
            self.broken(lambda: self.writer.write(bytes([0x81, 127]) + struct.pack("!Q", 1 << 30) + b"x" * 1000))
        elif kind == "too_large":
            self.broken(lambda: [self.frame(TEXT if n == 0 else CONTINUATION, b"x" * 30000, fin=False) for n in range(3)])
        elif kind == "reserved":
            self.broken(lambda: rng.choice([lambda: self.frame(11), lambda: self.frame(TEXT, b"{}", rsv=2),
                                            lambda: self.frame(PING, b"", fin=False)])())
        elif kind == "cut_frame":
            self.writer.write(b"\x81\x7d{\"m\":")
            self.writer.write_eof()
        elif kind == "half_open":
            self.writer.transport.pause_reading()
            await asyncio.sleep(10)
            kind = "abort"
        if kind == "abort":
            self.writer.transport.abort()
        await self.wait(10)
        self.writer.transport.abort()


async def upgrade(world, reader, writer):
    """The handshake; gives client, attempt, random numbers and the kind, or nothing when it was refused."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    client = int(head[0].split(" ")[1].rsplit("/", 1)[1])
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
    world.attempts[client] += 1
    attempt = world.attempts[client]
    rng = random.Random(f"{world.seed} {client} {attempt}")
    kind = KINDS[(client + attempt) % len(KINDS)] if world.chaos else "stay"
    world.done[kind] += 1
    if kind == "slow":
        await asyncio.sleep(rng.uniform(0.1, 1.5))
        kind = "stay"
    if kind.startswith("status_"):
        status = kind[7:]
        more = "Retry-After: 1\r\n" if status == "429" else ""
        writer.write(f"HTTP/1.1 {status} {STATUS[status]}\r\n{more}Content-Length: 7\r\n\r\nno, no.".encode())
    elif kind == "garbage":
        writer.write(b"220 mail.example.com ESMTP\r\n")
    if kind in REFUSALS and kind != "bad_accept":
        if kind != "refuse":  # a reset, for want of an answer
            await writer.drain()
            writer.close()
        return None
    key = headers["sec-websocket-key"] + ("" if kind != "bad_accept" else "!") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    return client, attempt, rng, kind


async def serve(world, reader, writer):
    connection = None
    try:
        upgraded = await upgrade(world, reader, writer)
        if upgraded is None or upgraded[3] == "bad_accept":
            return
        client, attempt, rng, kind = upgraded
        connection = Connection(world, client, attempt, reader, writer, rng)
        world.open[client] = connection
        listening = asyncio.create_task(connection.listen())
        if rng.random() < 0.3:
            await asyncio.sleep(rng.uniform(0, 2.5))  # some wait for this greeting, and not for ever
        connection.message("noise")
        for _ in range(1 if kind != "stay" else rng.randrange(3, 12)):
            for _ in range(rng.randrange(1, 4)):
                connection.message(rng.choice(["want", "want", "noise", "ack", "binary"]))
            connection.ask()
            await writer.drain()
            # Who stays talks a little in the chaos, and is quiet in the calm.
            while kind == "stay" and await connection.wait(rng.uniform(0.2, 0.5)) and not world.chaos:
                pass
            if connection.over.is_set():
                return
        await connection.end("close" if kind == "stay" else kind)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        if connection:
            connection.over.set()
            listening.cancel()
            if world.open.get(connection.client) is connection:
                del world.open[connection.client]
        if not writer.is_closing():
            writer.transport.abort()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, required=True)
    world = World(parser.parse_args().seed)

    async def obey(do, fields):
        if do == "mode":
            world.chaos = fields["mode"] == "chaos"
            for connection in list(world.open.values()) if world.chaos else ():
                connection.writer.transport.abort()
        elif do == "last":
            for connection in list(world.open.values()):
                connection.message("want")
                connection.ask()
        elif do == "report":
            unread = sum(connection.read < len(connection.sent) for connection in world.open.values())
            names = {"sent": world.ours, "read": world.read} if fields.get("names") else {}
            tell("report", done=world.done, attempts=sum(world.attempts.values()), open=len(world.open), unread=unread,
                 heard={client: len(read) for client, read in world.read.items()}, **names)
        else:
            raise ValueError(f"unknown command {do!r}")

    server = await asyncio.start_server(lambda r, w: serve(world, r, w), "127.0.0.1", 0, backlog=1024)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await obey_lines(obey)


logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # writes to clients that have gone are no news
asyncio.run(main())
