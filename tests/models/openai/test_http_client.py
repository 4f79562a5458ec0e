"""The HTTP client against sockets that say just what the test wants, byte by byte."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest

from gra.models.openai.http_client import MAX_BODY, Answer, Fault, Limits, Session

LIMITS = Limits(5.0, 2.0)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def request_in(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    return head + await reader.readexactly(length)


def saying(*replies: bytes, close: bool = False) -> Talk:
    """A server that answers each request on a connection with the next of `replies`, in pieces of 7 bytes if they are short."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for reply in replies:
                await request_in(reader)
                step = 7 if len(reply) < 500 else len(reply)
                for start in range(0, len(reply), step):
                    writer.write(reply[start : start + step])
                    await writer.drain()
                    await asyncio.sleep(0)
            if not close:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return talk


def asked(talk: Talk, times: int = 1, limits: Limits = LIMITS) -> tuple[list[Answer | Fault], int]:
    """What `times` exchanges, one after another, come to, and how many connections they took."""

    async def main() -> tuple[list[Answer | Fault], int]:
        connections = 0

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await talk(reader, writer)

        server = await asyncio.start_server(counted, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
        session, results = Session({"Authorization": "Bearer secret"}), list[Answer | Fault]()
        for _ in range(times):
            try:
                results.append(await session.exchange("POST", url, b"{}", limits))
            except Fault as fault:
                results.append(fault)
        await session.close()
        server.close()
        return results, connections

    return asyncio.run(main())


def one(talk: Talk, limits: Limits = LIMITS) -> Answer | Fault:
    return asked(talk, limits=limits)[0][0]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok"


def test_connections_are_kept() -> None:
    results, connections = asked(saying(OK, OK, OK), times=3)
    assert results == [Answer(200, b"ok", {"content-length": "2", "x-a": "b"})] * 3
    assert connections == 1


def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    results, connections = asked(saying(closing), times=2)
    assert [r.body for r in results if isinstance(r, Answer)] == [b"ok", b"ok"]
    assert connections == 2


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
            % (len(gzip.compress(b"text", mtime=0)), gzip.compress(b"text", mtime=0)),
            b"text",
        ),
    ],
    ids=["chunked", "continue", "empty", "ended by the connection", "gzip"],
)
def test_forms_of_bodies(reply: bytes, body: bytes) -> None:
    result = one(saying(reply, close=reply.startswith(b"HTTP/1.0")))
    assert isinstance(result, Answer), result
    assert result.body == body


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (b"", "connection", "closed by the server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "connection", "within a reply"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "connection", "within a reply"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "connection", "no proper HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), "body", "bytes (the limit"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY + 1), "body", "more than"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"y" * 60_000) * 2 + b"\r\n", "body", "headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", "body", "compressed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            + gzip.compress(bytes(MAX_BODY + 1)),
            "body",
            "compressed",
        ),
    ],
    ids=["nothing", "half", "half a chunk", "no HTTP", "too long", "endless", "headers", "no gzip", "bomb"],
)
def test_faults(reply: bytes, kind: str, words: str) -> None:
    result = one(saying(reply, close=True))
    assert isinstance(result, Fault)
    assert (result.kind, words in str(result)) == (kind, True), str(result)
    assert "secret" not in repr(result)


def test_a_second_reply_is_nobodys() -> None:
    both = OK.replace(b"X-A", b"X: %b\r\nX-A" % (b"y" * 500)) + OK.replace(b"ok", b"no")  # long: goes out at once
    results, connections = asked(saying(both, OK), times=2)
    assert isinstance(results[0], Answer)
    assert results[0].body == b"ok"
    assert all(r.body == b"ok" for r in results if isinstance(r, Answer))
    assert connections == 2


def test_time_limits_and_closed_ports() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_in(reader)
        assert await reader.read() == b""  # the client has hung up
        writer.close()

    result = one(silent, Limits(0.2, 0.2))
    assert isinstance(result, Fault)
    assert (result.kind, str(result)) == ("timeout", "no reply within 0 s")

    async def closed() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(Fault, match=r"cannot connect"):
            await Session({}).exchange("GET", f"http://127.0.0.1:{port}/", None, LIMITS)

    asyncio.run(closed())


def test_a_cancelled_exchange_closes_its_connection() -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request_in(reader)
            await reader.read()
            gone.set()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        session = Session({})
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        task = asyncio.ensure_future(session.exchange("POST", url, b"x", LIMITS))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait_for(gone.wait(), 2)
        await session.close()
        server.close()

    asyncio.run(main())


def test_the_request_as_it_goes_out() -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_in(reader))
        writer.write(OK)
        await writer.drain()
        await reader.read()
        writer.close()

    asked(talk)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert lines[1].startswith(b"Host: 127.0.0.1:")
    assert lines[2:] == [b"Authorization: Bearer secret", b"Content-Length: 2"]
    assert body == b"{}"
