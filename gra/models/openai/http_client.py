"""HTTP/1.1 client for model servers: keep-alive asyncio connections with one exchange at a time, parsed by httptools.

It replaces aiohttp, which was the largest cost of a call: with servers that reply after 20 ms, aiohttp used more CPU
time than the committee's own code (benchmarks/README.md). It supports what model servers need: TLS, chunked and sized
bodies, gzip, limits on time and size. It does not support redirects, cookies, proxies or HTTP/2.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import quote, urlsplit

MAX_BODY = 4 << 20  # bytes of a reply: 8000 tokens are about 40 kB, so more is a fault
MAX_HEADERS = 64 << 10  # bytes of all header names and values
IDLE_S = 4.0  # uvicorn (vLLM, SGLang) closes idle connections after 5 s; a call must not use one that is closing
Kind = Literal["connection", "timeout", "status", "body", "busy"]


class Fault(Exception):
    """An attempt to call a server failed, but a retry may succeed. Examples are no connection, a timeout, HTTP 5xx,
    HTTP 429 (kind `busy`) and a malformed reply (kind `body`).

    The text of a fault never contains request headers, so it never contains the API key.
    """

    def __init__(self, kind: Kind, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.kind, self.retry_after = kind, retry_after


@dataclass(frozen=True)
class Limits:
    """Seconds for the whole exchange (inf: the caller ends it) and for opening a new connection."""

    total: float
    connect: float


@dataclass(frozen=True)
class Answer:
    """A complete HTTP response with at most MAX_BODY bytes. The names in `headers` are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Session:
    """Keeps connections to any number of servers, and sends the same headers with every request. Use a session from one
    event loop only."""

    def __init__(self, headers: Mapping[str, str]):
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._idle: dict[_Origin, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._prepare = cache(self._prepared)

    async def exchange(self, method: str, url: str, body: bytes | None, limits: Limits) -> Answer:
        """Send one request and return its response. Raises Fault if no complete response arrives. Cancelling an
        exchange closes its connection, which tells the server to stop."""
        origin, head = self._prepare(method, url)
        until = time.monotonic() + limits.total
        connection = self._idle_to(origin) or await self._connect(origin, limits)
        payload = head + (b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return await connection.exchange(payload, until, limits.total)

    async def close(self) -> None:
        """Close every connection. Running exchanges fail."""
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)  # lets the event loop close the sockets

    def _prepared(self, method: str, url: str) -> tuple[_Origin, bytes]:
        parts = urlsplit(url)
        tls, host = parts.scheme == "https", parts.hostname or ""
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
        try:
            named = host.encode("idna").decode() if not host.isascii() else host
        except UnicodeError:
            named = host  # connecting will fail with a clear error
        where = f"[{named}]" if ":" in named else named
        head = f"{method} {path} HTTP/1.1\r\nHost: {where}{f':{parts.port}' if parts.port else ''}\r\n{self._headers}"
        return _Origin(tls, named, parts.port or (443 if tls else 80)), head.encode("latin-1", "replace")

    def _idle_to(self, origin: _Origin) -> _Connection | None:
        waiting = self._idle.get(origin)
        while waiting:
            connection = waiting.pop()  # the most recently used one: servers close idle connections
            if connection.usable():
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: _Origin, limits: Limits) -> _Connection:
        connection, loop = _Connection(self, origin), asyncio.get_running_loop()
        tls = _tls() if origin.tls else None
        try:
            async with asyncio.timeout(min(limits.connect, limits.total)):
                await loop.create_connection(lambda: connection, origin.host, origin.port, ssl=tls)
        except BaseException as error:
            connection.abort()
            self._open.discard(connection)  # uvloop does not report a connection that is cancelled while it opens
            if isinstance(error, TimeoutError):
                raise Fault("connection", "no connection in time") from None
            if isinstance(error, ConnectionRefusedError):  # the message differs between event loops
                raise Fault("connection", "cannot connect: Connection refused") from None
            if isinstance(error, OSError):  # includes ssl.SSLError and socket.gaierror
                raise Fault("connection", f"cannot connect: {error.strerror or error}") from None
            if isinstance(error, UnicodeError):
                raise Fault("connection", f"cannot connect: {origin.host!r} is not a host name") from None
            raise
        return connection

    def free(self, origin: _Origin, connection: _Connection) -> None:
        """Make `connection` available for another exchange. A connection calls this method when an exchange is over."""
        self._idle.setdefault(origin, []).append(connection)

    def opened(self, connection: _Connection) -> None:
        """Record that `connection` is open. A connection calls this method itself."""
        self._open.add(connection)

    def lost(self, connection: _Connection) -> None:
        """Record that `connection` is closed. A connection calls this method itself."""
        self._open.discard(connection)


@dataclass(frozen=True)
class _Origin:
    tls: bool
    host: str
    port: int


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Connection(asyncio.Protocol):
    """One keep-alive connection. Its methods without a docstring are callbacks of asyncio and httptools."""

    def __init__(self, session: Session, origin: _Origin):
        import httptools

        self._session, self._origin = session, origin
        self._parser = httptools.HttpResponseParser(self)
        self._parse_errors = (httptools.HttpParserError, httptools.HttpParserUpgrade)
        self._transport: Any = None
        self._answer: asyncio.Future[Answer] | None = None  # the running exchange's future
        self._last_used = 0.0
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._header_bytes, self._body_bytes = 0, 0
        self._chunks: list[bytes] = []
        self._in_body = False

    def usable(self) -> bool:
        """Return whether the connection is free for an exchange: open, and not idle for so long that the server may be
        closing it."""
        return not self._transport.is_closing() and time.monotonic() - self._last_used < IDLE_S

    async def exchange(self, payload: bytes, until: float, total: float) -> Answer:
        """Send `payload` and return the response if it arrives before `until` (monotonic clock). Raises Fault."""
        assert self._answer is None, "one exchange at a time"
        loop = asyncio.get_running_loop()
        self._answer = future = loop.create_future()
        timer = None if total == float("inf") else loop.call_later(until - time.monotonic(), self._late, future, total)
        self._transport.write(payload)
        try:
            return await future
        except asyncio.CancelledError:
            if self._answer is future:
                self.abort()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _settle(self) -> asyncio.Future[Answer] | None:
        """End the running exchange. Return its future if a caller still waits for it, else None."""
        future, self._answer = self._answer, None
        return None if future is None or future.done() else future

    def _late(self, future: asyncio.Future[Answer], total: float) -> None:
        if self._answer is future:
            self._fail(Fault("timeout", f"no reply within {total:.0f} s"))

    def _fail(self, fault: Fault) -> None:
        if (future := self._settle()) is not None:
            future.set_exception(fault)
        self.abort()

    def _finish(self, reusable: bool) -> None:
        body, headers = b"".join(self._chunks), self._headers
        status = self._parser.get_status_code()
        if headers.get("content-encoding", "identity").lower() in ("gzip", "x-gzip", "deflate"):
            try:
                body = _inflated(body)
            except (zlib.error, ValueError) as error:
                self._fail(Fault("body", f"a compressed reply that cannot be read: {error}"))
                return
        if (future := self._settle()) is not None:
            future.set_result(Answer(status, body, headers))
        self._begin()
        if reusable:
            self._last_used = time.monotonic()
            self._session.free(self._origin, self)
        else:
            self.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._session.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # data without a request: the connection is not used again
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except self._parse_errors as error:
            cause = error.__context__
            self._fail(
                cause
                if isinstance(cause, Fault)
                else Fault("connection", "the connection broke: no proper HTTP response")
            )

    def connection_lost(self, error: Exception | None) -> None:
        self._session.lost(self)
        if self._answer is None:
            return
        if (
            error is None
            and self._in_body
            and "content-length" not in self._headers
            and "transfer-encoding" not in self._headers
        ):
            self._finish(reusable=False)  # the body ends where the connection ends
            return
        what = (
            type(error).__name__
            if error is not None
            else "closed by the server" + (" within a reply" if self._in_body else "")
        )
        self._fail(Fault("connection", f"the connection broke: {what}"))

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise Fault("body", "a second reply to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADERS:
            raise Fault("body", f"a reply with more than {MAX_HEADERS} bytes of headers")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_body = self._parser.get_status_code() >= 200
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            raise Fault("body", f"a reply of {length} bytes (the limit is {MAX_BODY})")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY:
            raise Fault("body", f"a reply of more than {MAX_BODY} bytes")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._in_body:
            self._finish(reusable=self._parser.should_keep_alive())
        else:  # 1xx: the response itself follows
            self._headers, self._header_bytes = {}, 0


def _inflated(body: bytes) -> bytes:
    """Decompress gzip or zlib. Raises zlib.error, or ValueError for more than MAX_BODY bytes."""
    unpacker = zlib.decompressobj(wbits=47)  # 47 = 32 + 15: accept a gzip or a zlib header
    plain = unpacker.decompress(body, MAX_BODY + 1)
    if len(plain) > MAX_BODY:
        raise ValueError(f"more than {MAX_BODY} bytes")
    return plain
