"""A foreign WebSocket server for the integration tests: the package `websockets`, steered as `steered` says.

It knows nothing of windsock and holds no expectation.
"""

import argparse
import asyncio
import base64
import ssl

from steered import keep, obey_lines, tell
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

connections = {}  # number -> connection, also closed ones: a test may ask for any
# What the next handshakes and connections meet; changed by the command `behave`.
behaviour = {"refuse": None, "hang": False, "greet": [], "echo": False, "close_after_greeting": None, "subprotocol": None}


def shown(message):
    return {"text": message} if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}


async def on_request(connection, request):
    """Refuses or holds up the handshake when told to: `refuse` = {status, headers?, text?, times?}."""
    while behaviour["hang"]:
        await asyncio.sleep(0.02)
    refuse = behaviour["refuse"]
    if not refuse:
        return None
    if "times" in refuse:
        refuse["times"] -= 1
        if refuse["times"] <= 0:
            behaviour["refuse"] = None
    response = connection.respond(refuse["status"], refuse.get("text", "refused by the test\n"))
    for name, value in refuse.get("headers", {}).items():
        response.headers[name] = value
    tell("refused", status=refuse["status"], path=request.path, headers=list(request.headers.raw_items()))
    return response


def choose_subprotocol(_connection, offered):
    return behaviour["subprotocol"] if behaviour["subprotocol"] in offered else None


async def on_connection(connection):
    number = len(connections) + 1
    connections[number] = connection
    request = connection.request
    tell("accepted", connection=number, path=request.path, headers=list(request.headers.raw_items()),
         subprotocol=connection.subprotocol)
    echo = behaviour["echo"]
    try:
        for text in behaviour["greet"]:
            await connection.send(text)
        if behaviour["close_after_greeting"] is not None:
            await connection.close(behaviour["close_after_greeting"])
        async for message in connection:
            tell("message", connection=number, **shown(message))
            if echo:
                await connection.send(message)
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    tell("closed", connection=number, code=connection.close_code, reason=connection.close_reason)


async def send(connection, texts=(), blobs=(), repeat=1):
    for _ in range(repeat):
        for text in texts:
            await connection.send(text)
        for blob in blobs:
            await connection.send(base64.b64decode(blob))


async def stream(number, connection, first, count, texts, pause_ms):
    """Sends `count` texts, `{n}` replaced by first, first+1, …, going through `texts` in turn; tells how many went out."""
    sent = 0
    try:
        for n in range(first, first + count):
            await connection.send(texts[n % len(texts)].replace("{n}", str(n)))
            sent += 1
            if pause_ms:
                await asyncio.sleep(pause_ms / 1000)
    except ConnectionClosed:
        pass
    tell("streamed", connection=number, sent=sent, next=first + sent)


async def trickle(connection, pieces, pause_ms):
    """Writes pieces of frames one after the other."""
    for piece in pieces:
        connection.transport.write(bytes.fromhex(piece))
        await asyncio.sleep(pause_ms / 1000)


async def ping(number, connection):
    try:
        await (await connection.ping())
        tell("pong", connection=number)
    except ConnectionClosed:
        pass


async def obey(do, command):
    number = command.pop("to", None)
    if do == "behave":
        behaviour.update(command)
        return
    connection = connections[number]
    if do == "send":
        await send(connection, **command)
    elif do == "send_big":
        await connection.send(command.get("letter", "x") * command["bytes"])
    elif do == "send_fragments":
        await connection.send(iter(command["texts"]))
    elif do == "stream":
        keep(stream(number, connection, **command))
    elif do == "close":
        await connection.close(command.get("code", 1000), command.get("reason", ""))
    elif do == "drop":
        connection.transport.abort()
    elif do == "raw":
        connection.transport.write(bytes.fromhex(command["hex"]))
    elif do == "trickle":
        keep(trickle(connection, **command))
    elif do == "freeze":  # half-open: the socket stays, nothing is read or answered any more
        connection.transport.pause_reading()
    elif do == "thaw":
        connection.transport.resume_reading()
    elif do == "ping":  # tells `pong` when it is answered; a dead client must not hold up other commands
        keep(ping(number, connection))
    else:
        raise ValueError(f"unknown command {do!r}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--compression", default=None, choices=["deflate"])
    parser.add_argument("--cert", help="PEM file; makes it a wss server")
    parser.add_argument("--key", help="PEM file")
    parser.add_argument("--client-ca", help="PEM file; clients must present a certificate of it")
    return parser.parse_args()


def tls(options):
    if not options.cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main():
    options = arguments()
    # No pings and no limits of its own: what the client does is what is tested.
    # `reuse_port` lets a successor listen on the same port before this process is killed.
    async with serve(on_connection, "127.0.0.1", options.port, reuse_port=True, ssl=tls(options),
                     compression=options.compression, process_request=on_request, select_subprotocol=choose_subprotocol,
                     ping_interval=None, open_timeout=None, max_size=None, max_queue=None, close_timeout=5) as server:
        tell("listening", port=server.sockets[0].getsockname()[1])
        await obey_lines(obey)
        for connection in connections.values():
            connection.transport.abort()


asyncio.run(main())
