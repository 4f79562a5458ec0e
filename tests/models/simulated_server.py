"""Servers in virtual time behind `OpenAIServer`: how many calls they work on at once, how long, and which requests fail how."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from gra.models.base import Request
from gra.models.openai.backend import OpenAIServer, PoolSettings
from gra.models.openai.http_client import Answer, Fault, Limits
from gra.models.pool import ModelRuntime

Poison = Callable[[], Answer]  # may raise Fault
OK: dict[str, Any] = {"choices": [{"finish_reason": "stop", "message": {"content": "fine"}}], "usage": {}}


def answer(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Poison:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda: Answer(status, data, {name.replace("_", "-"): value for name, value in headers.items()})


def broken(kind: Any, words: str) -> Poison:
    def fail() -> Answer:
        raise Fault(kind, words)

    return fail


def hang() -> Answer:
    raise _Hangs


class _Hangs(Exception):
    pass


MODELS = ("m", "n", "o", "p", "q")

KINDS: dict[str, Poison] = {
    "503": answer(503, b"upstream died"),
    "503 with Retry-After": answer(503, b"upstream died", retry_after="3600"),
    "500": answer(500, {"error": {"message": "assertion failed"}}),
    "reset": broken("connection", "the connection broke: ConnectionResetError"),
    "cut": broken("connection", "the connection broke: closed by the server within a reply"),
    "empty choices": answer(200, {"choices": []}),
    "invalid UTF-8": answer(200, b'{"choices": [{"message": {"content": "\xff"}}]}'),
    "HTML": answer(200, b"<html>busy</html>"),
    "20 MB": broken("body", "a reply of 20971520 bytes (the limit is 4194304)"),
    "error 500 in 200": answer(200, {"error": {"code": 500, "message": "engine error"}}),
    "error without a code in 200": answer(200, {"error": "something odd"}),
}


@dataclass
class Site:
    """One server. `slots`: calls that it works on at once, the others wait in its queue; None: all of them."""

    latency: float | Callable[[str], float]
    slots: int | None = None
    poison: Callable[[str], Poison | None] = lambda _text: None
    up: bool = True
    fifo: bool = True
    asked: int = 0
    done: int = 0
    cancelled: list[float] = field(default_factory=list)  # when
    bodies_seen: set[str] = field(default_factory=set)
    in_flight: int = 0
    peak: int = 0
    finished_at: float = 0.0
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)
    _working: int = 0
    _rng: random.Random = field(default_factory=lambda: random.Random(0))

    async def serve(self, text: str) -> Answer:
        loop = asyncio.get_running_loop()
        self.asked += 1
        self.bodies_seen.add(text)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await self._turn()
            try:
                await asyncio.sleep(self.latency(text) if callable(self.latency) else self.latency)
                if not self.up:
                    raise Fault("connection", "the connection broke: ConnectionResetError")
                poison = self.poison(text)
                found = poison() if poison is not None else answer(200, OK)()
                self.done += found.status == 200
                self.finished_at = loop.time()
                return found
            except _Hangs:
                await asyncio.sleep(1e9)
                raise AssertionError from None
            finally:
                self._working -= 1
                self._next()
        except asyncio.CancelledError:
            self.cancelled.append(loop.time())
            raise
        finally:
            self.in_flight -= 1

    async def _turn(self) -> None:
        if self.slots is not None and self._working >= self.slots:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._working += 1

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.pop(0 if self.fifo else self._rng.randrange(len(self._waiting)))
            if not turn.done():
                self._working += 1
                turn.set_result(None)
                return


class Network:
    """A `server_probe.Transport` to `sites` (URL -> server)."""

    def __init__(self, sites: Mapping[str, Site]):
        self._sites = sites

    async def exchange(self, method: str, url: str, body: bytes | None, limits: Limits) -> Answer:
        base, _, _ = url.partition("/v1/")
        site = self._sites[base]
        if not site.up:
            raise Fault("connection", "cannot connect: Connection refused")
        if method == "GET":
            return answer(200, {"data": [{"id": model} for model in MODELS]})()
        assert body is not None
        assert limits.total == float("inf")
        return await site.serve(body.decode())

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def backend(sites: Mapping[str, Site], concurrency: int | None = None, seed: int = 0, **runtime: Any) -> Any:
    """An OpenAIServer for the model `m` (and the others of MODELS) over `sites`, with the documented defaults."""
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "models": [*MODELS],
        "base_url": [f"{site}/v1" for site in sites],
    }
    settings, speed = PoolSettings.model_validate(pool), ModelRuntime.model_validate(runtime)
    made = OpenAIServer(
        settings, speed, SecretStr(""), transport=lambda _headers: Network(sites), uniform=random.Random(seed).uniform
    )
    async with made:
        if concurrency is not None:
            made.limit_calls(concurrency)
        yield made


def request(number: int, model: str = "m", text: str = "question", tokens: int = 512) -> Request:
    return Request(model, ({"role": "user", "content": f"{text} {number}"},), 0.7, 0.9, tokens, number)


def one_in(share: int, *kinds: Poison) -> Callable[[str], Poison | None]:
    """Every request in `share`, by its bytes, always fails, each in one of the ways."""

    def poison(text: str) -> Poison | None:
        mark = zlib.crc32(text.encode())
        return kinds[mark // share % len(kinds)] if mark % share == 0 else None

    return poison
