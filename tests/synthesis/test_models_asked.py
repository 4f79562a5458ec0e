"""Models that a run never asks are not connected to, and so not served: they would take cores and memory from the one that is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gra.synthesis.conduct import asked_of, engine_for

POOL = {"_target_": "gra.simulation.backend.connect", "models": ["slm-a", "slm-b", {"name": "slm-c"}], "world_seed": 0}


@pytest.mark.parametrize(
    ("synthesis", "asked"),
    [
        ({"roles": "random"}, ["slm-a", "slm-b", "slm-c"]),
        ({}, ["slm-a", "slm-b", "slm-c"]),
        ({"roles": "single"}, ["slm-a"]),
        ({"roles": "single", "single_model": None}, ["slm-a"]),
        ({"roles": "single", "single_model": "slm-c"}, ["slm-c"]),
    ],
)
def test_the_backend_is_made_for_the_models_that_are_asked(tmp_path: Path, synthesis: dict[str, Any], asked: list[str]) -> None:
    async def models() -> list[str]:
        async with engine_for({"pool": POOL, "synthesis": synthesis, "runtime": {}}, tmp_path) as (_, backend):
            return list(backend.models)

    assert asyncio.run(models()) == asked


def test_the_rest_of_the_pool_stays_as_it_is() -> None:
    pool = {**POOL, "base_url": "http://127.0.0.1:1/v1"}
    assert asked_of(pool, {"roles": "single", "single_model": "slm-b"}) == {**pool, "models": ["slm-b"]}
    assert asked_of(pool, {"roles": "single", "single_model": "unknown"}) == pool  # told by the checks before
