"""Model servers that misbehave by a schedule, at the level of bytes on a connection, for virtual_time.VirtualLoop."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from scripted import MODELS, good_reply, scores

POISONS = ("503", "reset", "cut", "no_choices", "no_utf8", "html", "flood", "500")

# the backend's own questions: they are not the run's, and poison is not in them
_SHORT = re.compile(rb'"max_tokens":(1|16)[,}]')


@dataclass(frozen=True)
class Weather:
    """What the servers do. Shares are of attempts, drawn by the request's bytes and how often it came; times are seconds of the
    virtual clock. A poison request fails each time: those with `mark % every == 0`."""

    seed: int = 0
    urls: int = 1
    latency: float = 0.2
    tail: float = 0.0  # share that takes `tail_x` times as long
    tail_x: float = 10.0
    resets: float = 0.0  # share whose connection breaks
    poison: str = ""  # one of POISONS
    every: int = 10
    storms: tuple[tuple[float, float], ...] = ()  # 429 to all, from .. to
    retry_after: bool = True
    outages: tuple[tuple[int, float, float], ...] = ()  # server, from, to: nobody listens, connections break


@dataclass
class Servers:
    """All servers: a network, and what they have seen. They outlive the runs."""

    weather: Weather
    attempts: dict[int, int] = field(default_factory=dict)  # by the request's mark
    delivered: set[int] = field(default_factory=set)  # marks whose good reply was handed over whole
    repeated: int = 0  # requests whose good reply had been handed over before
    connections: set[_Wire] = field(default_factory=set)
    busy: set[_Wire] = field(default_factory=set)  # on which a reply of the run's own is awaited
    peak: int = 0  # of them

    async def connect(self, loop: Any, factory: Any, host: str, port: int) -> Any:  # noqa: ARG002 as of sockets
        await asyncio.sleep(0.001)
        if self.out(port, loop.now):
            raise ConnectionRefusedError(111, "Connection refused")
        protocol = factory()
        wire = _Wire(loop, protocol, self, port)
        self.connections.add(wire)
        protocol.connection_made(wire)
        return wire, protocol

    def out(self, port: int, now: float) -> bool:
        return any(server == port and start <= now < end for server, start, end in self.weather.outages)

    def set_timers(self, loop: Any) -> None:
        """The moments at which connections break, for a loop that starts now; those of the loop before are gone."""
        self.connections.clear()
        self.busy.clear()
        for server, start, _ in self.weather.outages:
            if start > loop.now:
                loop.call_at(start, self._break, server)

    def _break(self, port: int) -> None:
        for wire in [w for w in self.connections if w.port == port]:
            wire.lose(ConnectionResetError(104, "Connection reset by peer"))

    def poisoned(self, body: bytes) -> bool:
        return bool(self.weather.poison) and zlib.crc32(body) % self.weather.every == 0 and not _SHORT.search(body)

    def troubled(self, start: float, end: float) -> float:
        """Seconds from `start` to `end` in which some server was out or refused everybody."""
        spans = [(a, b) for _, a, b in self.weather.outages] + list(self.weather.storms)
        return sum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)

    def request(self, wire: _Wire, path: str, body: bytes) -> None:
        """One request has come in whole."""
        weather = self.weather
        if not path.endswith("/chat/completions"):
            listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}
            wire.later(0.01, wire.reply, 200, json.dumps(listing).encode())
            return
        if not _SHORT.search(body):
            self.busy.add(wire)
            self.peak = max(self.peak, len(self.busy))
        mark = zlib.crc32(body)
        count = self.attempts[mark] = self.attempts.get(mark, 0) + 1
        if mark in self.delivered:  # counted once for each delivery: what follows are retries
            self.delivered.remove(mark)
            self.repeated += 1
        draw = zlib.crc32(b"%d-%d-%d" % (weather.seed, mark, count)) / 2**32
        seconds = weather.latency * (0.5 + draw) * (weather.tail_x if draw < weather.tail else 1)
        if any(start <= wire.loop.now < end for start, end in weather.storms):
            headers = "Retry-After: 1\r\n" if weather.retry_after else ""
            wire.later(0.02, wire.reply, 429, b'{"error": {"message": "slow down"}}', headers)
        elif self.poisoned(body):
            wire.later(seconds / 4, wire.spoil, weather.poison)
        elif 1 - draw < weather.resets:
            wire.later(seconds / 2, wire.spoil, ("reset", "cut", "503")[count % 3])
        else:
            wire.later(seconds, self._answer, wire, mark, body)

    def _answer(self, wire: _Wire, mark: int, body: bytes) -> None:
        asked = json.loads(body)
        name = asked.get("response_format", {}).get("json_schema", {}).get("name")
        text = worded(name, mark, body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": len(body) // 4, "completion_tokens": len(text) // 4 + 1}
        whole = wire.reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())
        if (
            whole and not _SHORT.search(body) and self.weather.poison != "500"
        ):  # on 500 the backend also asks without the schema
            self.delivered.add(mark)


def worded(step: str | None, mark: int, body: bytes) -> str:
    """The models' reply: as `good_reply`, with most samples accepted, since a schedule should cost few calls."""
    if step in ("review", "adjudicate"):
        return json.dumps(scores(8 + mark % 3, correctness=2 if mark % 11 == 0 else 9))
    if step == "check":
        return json.dumps(
            {"analysis": "", "reasonableness": mark % 31 != 0, "completeness": True, "clarity": True, "comment": ""}
        )
    return good_reply(SimpleNamespace(schema_name=step, canonical=body))  # type: ignore[arg-type]


class _Wire(asyncio.Transport):
    """One connection, both ends of it."""

    def __init__(self, loop: Any, protocol: Any, servers: Servers, port: int):
        super().__init__()
        self.loop, self.port = loop, port
        self._protocol, self._servers = protocol, servers
        self._buffer, self._open = b"", True
        self._timer: Any = None

    def later(self, seconds: float, *call: Any) -> None:
        self._timer = self.loop.call_later(seconds, *call)

    def write(self, data: Any) -> None:
        self._buffer += bytes(data)
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not self._open or not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._servers.request(self, lines[0].split(" ")[1], rest[:length])

    def reply(self, status: int, body: bytes, headers: str = "", length: int | None = None) -> bool:
        """Hand a response over; False where nobody is there any more."""
        if not self._open:
            return False
        self._servers.busy.discard(self)
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}Content-Length: {length or len(body)}\r\n\r\n"
        self._protocol.data_received(head.encode() + body)
        return True

    def spoil(self, kind: str) -> None:
        if kind in ("503", "500"):
            self.reply(int(kind), b'{"error": {"message": "internal error"}}')
        elif kind == "no_choices":
            self.reply(200, b'{"choices": []}')
        elif kind == "no_utf8":
            self.reply(200, b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')
        elif kind == "html":
            self.reply(200, b"<html><body>It works!</body></html>")
        elif kind == "flood":
            self.reply(200, b"x" * 1000, length=20 << 20)
        else:
            if kind == "cut":
                self.reply(200, b'{"choices": [{"mess', length=1000)
            self.lose(ConnectionResetError(104, "Connection reset by peer"))

    def lose(self, error: Exception | None) -> None:
        if self._open:
            self._open = False
            self._servers.connections.discard(self)
            self._servers.busy.discard(self)
            if self._timer is not None:
                self._timer.cancel()
            self.loop.call_soon(self._protocol.connection_lost, error)

    def abort(self) -> None:
        self.lose(None)

    def close(self) -> None:
        self.lose(None)

    def is_closing(self) -> bool:
        return not self._open
