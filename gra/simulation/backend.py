"""The simulated models in this very process, behind the protocol that servers have too.

Config: `pool._target_: gra.simulation.backend.connect`, as in conf/pool/simulated.yaml.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from pydantic import ConfigDict, Field

from gra.errors import ConfigError, Problem, ServerError
from gra.models.base import Reply, Request
from gra.models.pool import PoolBase
from gra.settings import Settings, parse
from gra.simulation.models import MODELS, answer

__all__ = ["PoolSettings", "SimulatedBackend", "connect"]


class PoolSettings(PoolBase):
    """Keys of a pool of simulated models; a model's `model` (default: its `name`) is the simulated one that speaks for it."""

    simulated: bool = Field(True, description="Must stay true: nothing made here may pass for real.")
    world_seed: int = Field(0, description="Decides which questions each model gets wrong, and all of its faults.")

    def problems(self) -> list[Problem]:
        known = f"simulated models are: {', '.join(MODELS)}"
        found = super().problems()
        found += [Problem("pool.models", f"no simulated model `{m.served}`", known) for m in self.models if m.served not in MODELS]
        if not self.simulated:
            found.append(Problem("pool.simulated", "a simulated pool cannot be labelled real", "set pool.simulated=true"))
        return found


class SimulatedRuntime(Settings):
    """The keys of `runtime` that this backend reads; the others are not its own."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    latency: float = Field(0.0, ge=0, le=3600, description="Seconds that every call takes.")


class SimulatedBackend:
    """`gra.simulation.models.answer` as a backend. `served` maps a name in the pool to the simulated model behind it.

    Token counts are exact counts of the simulated tokenizer (`gra.simulation.faults.count_tokens`), no estimates.
    """

    simulated = True

    def __init__(self, served: dict[str, str], world_seed: int = 0, latency: float = 0.0):
        self.models = tuple(served)
        self.served = served
        self.world_seed = world_seed
        self.latency = latency

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def chat(self, request: Request) -> Reply:
        """The model's reply. Raises ServerError for a model that this pool does not hold."""
        served = self.served.get(request.model)
        if served is None:
            known = ", ".join(self.models)
            raise ServerError(f"simulated pool: no model `{request.model}`, it holds {known}\n    -> correct pool.models")
        await asyncio.sleep(self.latency)
        return answer(request if served == request.model else replace(request, model=served), self.world_seed)


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> SimulatedBackend:
    """The backend for a pool config; `runtime.latency` makes it as slow as a server. Raises ConfigError."""
    settings, problems = parse(PoolSettings, pool, "pool")
    speed, more = parse(SimulatedRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    return SimulatedBackend({m.name: m.served for m in settings.models}, settings.world_seed, speed.latency)
