"""An OpenAI-compatible server that answers after a fixed time: what a client adds can be measured against it.

    python benchmarks/fixed_latency_server.py PORT [--latency 0.2] [--tail 10] [--slots 2] [--poison 10 --kinds 503,reset]

A reply fits the request's JSON schema and is a function of the request's bytes, so the same request gets the same reply.
--slots N: it works on N requests at once, the others wait in its queue. --poison N: one request in N, by its bytes, always
fails after the latency, in one of --kinds (400, 503, reset, cut, empty, utf8, html, 20mb).
--tail X: one request in twenty takes X times the latency. One reply in thirty to a schema with scores is harsh, so that
reviewers disagree and adjudicators are called.
GET /stats tells calls (begun), done, span_s (first request to last reply), mean_inflight, peak, repeated (bodies seen
before), per_model; POST /reset clears them; GET /v1/models lists slm-a .. slm-e and gen, judge-a .. judge-c.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PIECE = b"x" * (1 << 18)
MODELS = ("slm-a", "slm-b", "slm-c", "slm-d", "slm-e", "gen", "judge-a", "judge-b", "judge-c")


@dataclass
class Stats:
    """Counters, and the integral over time of the number in flight."""

    calls: int = 0
    done: int = 0
    peak: int = 0
    repeated: int = 0
    failed: int = 0  # poisoned
    cancelled: int = 0  # the client gave up
    in_flight: int = 0
    first: float | None = None
    last: float = 0.0
    area: float = 0.0
    per_model: dict[str, int] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def step(self, change: int) -> None:
        now = time.perf_counter()
        if self.first is None:
            self.first = now
        else:
            self.area += self.in_flight * (now - self.last)
        self.last = now
        self.in_flight += change
        self.peak = max(self.peak, self.in_flight)

    def begin(self, model: str, body: bytes) -> None:
        self.step(+1)
        self.calls += 1
        self.per_model[model] = self.per_model.get(model, 0) + 1
        mark = hash(body)
        self.repeated += mark in self.seen
        self.seen.add(mark)

    def summary(self) -> dict[str, Any]:
        span = self.last - self.first if self.first is not None else 0.0
        return {
            "calls": self.calls,
            "done": self.done,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "peak": self.peak,
            "repeated": self.repeated,
            "span_s": span,
            "mean_inflight": self.area / span if span else 0.0,
            "per_model": self.per_model,
        }


def sample(schema: dict[str, Any], root: dict[str, Any], salt: bytes, place: str, harsh: bool) -> Any:
    """A value that fits `schema` (the subset that pydantic writes), drawn from `salt` and its `place`."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].split("/")[-1]]
    draw = zlib.crc32(place.encode(), zlib.crc32(salt))
    if "enum" in schema:
        return schema["enum"][draw % len(schema["enum"])]
    match schema.get("type"):
        case "object":
            return {k: sample(v, root, salt, f"{place}.{k}", harsh) for k, v in schema["properties"].items()}
        case "array":
            return [
                sample(schema["items"], root, salt, f"{place}.{i}", harsh) for i in range(schema.get("minItems", 1))
            ]
        case "integer":
            return draw % 3 if harsh else 8 + draw % 3
        case "boolean":
            return True
        case _:
            return prose(draw)


def prose(draw: int) -> str:
    """Four numbered words, so that two texts are hardly ever near-duplicates of each other."""
    return " ".join(f"{zlib.crc32(bytes([i]), draw):08x}" for i in range(4))


def content(request: dict[str, Any], body: bytes) -> str:
    form = request.get("response_format")
    if form is None:
        text = prose(zlib.crc32(body))
        asked = str(request["messages"][-1]["content"]) if request.get("messages") else ""
        return ", ".join(text.split()[:3]) if asked.startswith("Three keywords") else f"A reply: {text}."
    schema = form["json_schema"]["schema"]
    return json.dumps(sample(schema, schema, body, "", zlib.crc32(body, 1) % 30 == 0))


class Queue:
    """Lets `slots` pieces of work be under way at once, in order; None: all of them."""

    def __init__(self, slots: int | None):
        self._free = float("inf") if slots is None else float(slots)
        self._waiting: deque[Callable[[], bool]] = deque()

    def add(self, begin: Callable[[], bool]) -> None:
        """`begin` starts the work and says whether it did; `done` must follow where it did."""
        self._waiting.append(begin)
        self._next()

    def done(self) -> None:
        """A piece of work ended."""
        self._free += 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self._free >= 1:
            self._free -= self._waiting.popleft()()


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection with at most one request in flight, as HTTP clients without pipelining have it."""

    def __init__(self, stats: list[Stats], options: argparse.Namespace, queue: Queue):
        self._stats, self._latency, self._tail = stats, options.latency, options.tail
        self._poison, self._kinds, self._queue = options.poison, options.kinds.split(","), queue
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._begun: Stats | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._begun is None:
            return
        self._begun.step(-1)  # the client gave up
        self._begun.cancelled += 1
        self._begun = None
        if self._timer is not None:
            self._timer.cancel()
            self._queue.done()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        line, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (h.partition(b":") for h in lines)}
        length = int(headers.get(b"content-length", 0))
        if len(rest) < length:
            return
        body, self._buffer = rest[:length], rest[length:]
        self._close = headers.get(b"connection", b"").lower() == b"close"
        path = line.split(b" ")[1]
        if path.endswith(b"/chat/completions"):
            self._chat(body)
        elif path == b"/stats":
            self._send(self._stats[0].summary())
        elif path == b"/reset":
            self._stats[0] = Stats()
            self._send({})
        elif path.endswith(b"/models"):
            self._send({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
        else:
            self._send({"error": {"message": f"no such path: {path.decode('latin1')}"}}, b"404 Not Found")

    def _chat(self, body: bytes) -> None:
        request = json.loads(body)
        if not request.get("messages"):  # some clients look for rate-limit headers with an empty request first
            self._send({"error": {"message": "no messages"}}, b"400 Bad Request")
            return
        stats = self._begun = self._stats[0]
        stats.begin(request.get("model", "?"), body)
        slow = self._tail if self._tail and zlib.crc32(body) % 20 == 0 else 1.0
        self._queue.add(lambda: self._work(slow, stats, request, body))

    def _work(self, slow: float, stats: Stats, request: dict[str, Any], body: bytes) -> bool:
        """Begin with the request, unless its client is gone."""
        if self._begun is not None:
            self._timer = asyncio.get_running_loop().call_later(
                self._latency * slow, self._answer, stats, request, body
            )
        return self._begun is not None

    def _answer(self, stats: Stats, request: dict[str, Any], body: bytes) -> None:
        self._timer = self._begun = None
        self._queue.done()
        mark = zlib.crc32(body, 2)
        if self._poison and mark % self._poison == 0:
            stats.failed += 1
            stats.step(-1)
            self._fail(self._kinds[mark // self._poison % len(self._kinds)])
            return
        text = content(request, body)
        stats.done += 1
        stats.step(-1)
        counts = {"prompt_tokens": len(body) // 4, "completion_tokens": len(text) // 4 + 1}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        reply = {
            "id": f"chatcmpl-{stats.done}",
            "object": "chat.completion",
            "created": 0,
            "model": request.get("model"),
        }
        self._send(reply | {"choices": [choice], "usage": counts | {"total_tokens": sum(counts.values())}})

    def _fail(self, kind: str) -> None:
        match kind:
            case "400":
                self._send({"error": {"message": "injected"}}, b"400 Bad Request")
            case "503":
                self._send({"error": {"message": "injected"}}, b"503 Service Unavailable")
            case "reset":
                self._transport.abort()
            case "cut":
                self._transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices": [{"mess')
                self._transport.close()
            case "empty":
                self._send({"choices": []})
            case "utf8":
                self._raw(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')
            case "html":
                self._raw(b"<html>busy</html>")
            case "20mb":
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (20 << 20))
                self._pour(20 << 20)
            case _:
                raise SystemExit(f"no such kind: {kind}")

    def _pour(self, left: int) -> None:
        """So many bytes, piece by piece, as fast as the client takes them."""
        if left > 0 and not self._transport.is_closing():
            waiting = self._transport.get_write_buffer_size() > 0
            if not waiting:
                self._transport.write(PIECE[:left])
            asyncio.get_running_loop().call_later(0.002 * waiting, self._pour, left if waiting else left - len(PIECE))

    def _raw(self, data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))

    def _send(self, value: Any, status: bytes = b"200 OK") -> None:
        data = json.dumps(value).encode()
        self._transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)
        )
        if self._close:
            self._transport.close()


async def serve(port: int, options: argparse.Namespace) -> None:
    """Serve on 127.0.0.1 until killed."""
    stats, queue = [Stats()], Queue(options.slots)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stats, options, queue), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds (default 0.2)")
    parser.add_argument("--tail", type=float, default=0.0, help="one request in twenty takes so many times the latency")
    parser.add_argument("--slots", type=int, help="requests that it works on at once; default: all")
    parser.add_argument("--poison", type=int, default=0, help="one request in so many always fails")
    parser.add_argument("--kinds", default="400", help="how, separated by commas")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options))
