"""Scripted committees for the tests of the protocol and the engine: a reply is a function of the request, as a model's is."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

from gra.models.base import Backend, Reply, Request
from gra.synthesis.committee.records import DIMENSIONS, Record, Roles

MODELS = ("m1", "m2", "m3", "m4", "m5")
ROLES = Roles("m1", ("m2", "m3", "m4"), "m5", "m1")
RECORDS = tuple(
    Record(f"s{i}", f"do {i}", f"done {i}", "coding", ("a", "b", f"c{i}"), f"summary {i}") for i in range(2)
)


def scores(value: int, **others: int) -> dict[str, Any]:
    return {"own_answer": "so", "strengths": "fine", "weaknesses": "none", **dict.fromkeys(DIMENSIONS, value), **others}


def good_reply(request: Request) -> str:
    """A well-formed reply for each step and either edition of the prompts, varied by the request's bytes."""
    mark = zlib.crc32(request.canonical)
    match request.schema_name:
        case "annotate_seed":
            domain = ("coding", "reasoning")[mark % 2]
            return json.dumps({"domain": domain, "keywords": ["a", "b", "c"], "summary": f"s {mark}"})
        case "keywords":
            return json.dumps({"keywords": ["x", "y", f"z{mark % 97}"]})
        case "instruction":
            return json.dumps({"instruction": f"Explain item {mark % 9973} of list {mark % 89}."})
        case "check":
            ok = mark % 13 != 0
            return json.dumps(
                {"analysis": "", "reasonableness": ok, "completeness": True, "clarity": True, "comment": ""}
            )
        case "review" | "adjudicate":
            return json.dumps(scores(6 + mark % 5, correctness=4 + mark % 7))
        case "annotate":
            return json.dumps({"keywords": ["k1", "k2", "k3"], "summary": f"summary {mark % 997}"})
    return f"Answer {mark:08x}."


class Scripted(Backend):
    """A backend whose replies come from `answer`; `jitter` seconds at most are waited, in a random order of its own."""

    simulated = False

    def __init__(
        self, answer: Callable[[Request], str | Reply] = good_reply, jitter: float = 0.0, models: Any = MODELS
    ):
        self.models, self._answer, self._jitter = models, answer, jitter
        self._random = random.Random()
        self.calls = 0
        self.in_flight = self.peak = 0

    async def chat(self, request: Request) -> Reply:
        self.calls += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(self._random.random() * self._jitter)
        finally:
            self.in_flight -= 1
        reply = self._answer(request)
        return reply if isinstance(reply, Reply) else Reply(reply, len(request.canonical) // 4, len(reply) // 4)
