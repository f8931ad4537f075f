"""An HTTP proxy for the tests: CONNECT with Basic auth, steered as `steered` says.

Tells `tunnel` for each it has opened and `refused` for each request without the right user and password.
"""

import argparse
import asyncio

from steered import basic, obey_lines, tell


async def pump(reader, writer):
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def on_client(wanted, reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return
    method, target, _ = head[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
    if method != "CONNECT" or headers.get("host") != target:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        return
    if wanted and headers.get("proxy-authorization") != wanted:
        tell("refused", target=target)
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"tests\"\r\n"
                     b"Content-Length: 0\r\n\r\n")
        writer.close()
        return
    host, port = target.rsplit(":", 1)
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    tell("tunnel", target=target)
    writer.write(b"HTTP/1.1 200 Connection established\r\nVia: tests\r\n\r\n")
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def nothing(do, _fields):
    raise ValueError(f"unknown command {do!r}")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", help="user:password that is wanted")
    options = parser.parse_args()
    wanted = options.user and basic(*options.user.split(":", 1))
    server = await asyncio.start_server(lambda r, w: on_client(wanted, r, w), "127.0.0.1", options.port)
    tell("listening", port=server.sockets[0].getsockname()[1])
    await obey_lines(nothing)


asyncio.run(main())
