"""Runs the simulated models in this process as a backend.

Config: `pool._target_: gra.simulation.backend.connect`, as in conf/pool/simulated.yaml.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, Field

from gra.errors import ConfigError, Problem, ServerError
from gra.models.base import Backend, Reply, Request
from gra.models.pool import PoolBase
from gra.settings import Settings, parse
from gra.simulation.models import MODELS, answer
from gra.simulation.traits import OWN, Traits

__all__ = ["PoolSettings", "SimulatedBackend", "connect"]


class PoolSettings(PoolBase):
    """Config keys of a pool of simulated models. Each entry of `models` names a simulated model
    (gra/simulation/profiles.py) in its key `model`. If an entry has no key `model`, its `name` is used."""

    simulated: bool = Field(True, description="Always true: data of simulated models must be labelled as simulated.")
    world_seed: int = Field(
        0, description="Seed that decides which questions each simulated model answers wrongly, and its other faults."
    )
    traits: Traits = Field(
        OWN, description="What all models of the pool have in common: how alike their mistakes are, and more."
    )

    def problems(self) -> list[Problem]:
        known = (
            "leave `pool.models` out (in Python: `models`), and pool=simulated names five; or choose from the simulated models: "
            f"{', '.join(MODELS)}"
        )
        found = super().problems()
        found += [
            Problem("pool.models", f"no simulated model `{m.served}`", known)
            for m in self.models
            if m.served not in MODELS
        ]
        if not self.simulated:
            found.append(
                Problem("pool.simulated", "a simulated pool must be labelled as simulated", "set pool.simulated=true")
            )
        return found


class SimulatedRuntime(Settings):
    """Keys of `runtime` that only simulated models read."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    latency: float = Field(0.0, ge=0, le=3600, description="Seconds that each simulated call takes.")


class SimulatedBackend(Backend):
    """A backend that answers requests with simulated models, in this process.

    `served`: name of a model in the pool -> name of the simulated model that answers for it. The token counts of a
    reply are those of the simulated tokenizer (`gra.simulation.faults.count_tokens`).
    """

    simulated = True

    def __init__(self, served: dict[str, str], world_seed: int = 0, latency: float = 0.0, traits: Traits = OWN):
        self.models = tuple(served)
        self.served = served
        self.world_seed = world_seed
        self.latency = latency
        self.traits = traits

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError if the pool does not have the model."""
        served = self.served.get(request.model)
        if served is None:
            known = ", ".join(self.models)
            raise ServerError(
                f"simulated pool: no model `{request.model}`; its models: {known}\n    -> correct pool.models"
            )
        await asyncio.sleep(self.latency)
        asked = request if served == request.model else replace(request, model=served)
        return answer(asked, self.world_seed, self.traits)


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> SimulatedBackend:
    """Return the backend that the config of a pool describes. Each call takes `runtime.latency` seconds. Raises
    ConfigError if the config is faulty."""
    settings, problems = parse(PoolSettings, pool, "pool")
    speed, more = parse(SimulatedRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    served = {m.name: m.served for m in settings.models}
    return SimulatedBackend(served, settings.world_seed, speed.latency, settings.traits)
