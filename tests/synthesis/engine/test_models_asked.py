"""Models that a run never asks are not connected to, and so not served: they would take cores and memory from the one that is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gra.synthesis.config import SynthesisConfig, parsed
from gra.synthesis.engine.session import engine_for

POOL = {"_target_": "gra.simulation.backend.connect", "models": ["slm-a", "slm-b", {"name": "slm-c"}], "world_seed": 0}


@pytest.mark.parametrize(
    ("synthesis", "asked"),
    [
        ({"roles": "random"}, ["slm-a", "slm-b", "slm-c"]),
        ({}, ["slm-a", "slm-b", "slm-c"]),
        ({"roles": "single"}, ["slm-a"]),
        ({"roles": "single", "single_model": None}, ["slm-a"]),
        ({"roles": "single", "single_model": "slm-c"}, ["slm-c"]),
        ({"roles": "single", "single_model": "slm-c", "checkers": ["slm-b"]}, ["slm-b", "slm-c"]),
    ],
)
def test_the_backend_is_made_for_the_models_that_are_asked(
    tmp_path: Path, synthesis: dict[str, Any], asked: list[str]
) -> None:
    async def models() -> list[str]:
        async with engine_for(config(POOL, synthesis), tmp_path) as (_, backend):
            return list(backend.models)

    assert asyncio.run(models()) == asked


def test_a_single_model_needs_the_url_of_no_other(tmp_path: Path) -> None:
    """The mapping of URLs names all models of the pool, as the other arms of the experiment need it."""
    urls = {name: f"http://127.0.0.1:{port}/v1" for port, name in enumerate(("slm-a", "slm-b", "slm-c"), 1)}
    pool = {**POOL, "_target_": "gra.models.openai.backend.connect", "base_url": urls}
    del pool["world_seed"]
    given = config(pool, {"roles": "single", "single_model": "slm-b"})
    assert given.pool.backend(given.models_called, tmp_path).models == ("slm-b",)


def test_an_unknown_single_model_is_left_to_the_checks() -> None:
    assert config(POOL, {"roles": "single", "single_model": "unknown"}).models_called == ("slm-a", "slm-b", "slm-c")


def config(pool: dict[str, Any], synthesis: dict[str, Any]) -> SynthesisConfig:
    return parsed({"seed": 0, "seeds": {}, "pool": pool, "synthesis": synthesis, "runtime": {}})
