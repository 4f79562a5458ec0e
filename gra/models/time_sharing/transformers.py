"""Runs models in turn in this process with transformers, for tests and for use without servers:
conf/pool/phased_transformers.yaml."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

from pydantic import Field

from gra.models.base import Backend
from gra.models.launch.gpus import visible_gpus
from gra.models.local import transformers
from gra.models.pool import ModelSettings, parsed
from gra.models.time_sharing.scheduler import Phased


class PoolSettings(transformers.PoolSettings):
    """Keys of a pool of models that transformers runs in this process, with one model in memory at a time."""

    by_turns: ClassVar[bool] = True
    max_loaded: Literal[1] = Field(1, description="Number of models in memory: always 1 in this pool.")


class TransformersLoader:
    """A `Loader` (scheduler.py) that loads a model into this process with transformers. The loader waits for the
    model's first call before it reads the weights."""

    def __init__(self, settings: PoolSettings):
        self._settings = settings

    @asynccontextmanager
    async def load(self, model: ModelSettings) -> AsyncIterator[Backend]:
        async with transformers.TransformersLocal(self._settings.model_copy(update={"models": [model]})) as backend:
            yield backend
        del backend
        gc.collect()
        torch = sys.modules.get("torch")  # torch is not imported if nothing was generated
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def gpus(self, model: ModelSettings) -> int:  # noqa: ARG002 - the same for all models
        return 1 if self._settings.device not in ("cpu", "mps") and visible_gpus() else 0


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Phased:
    """Return the backend for `pool`; `pool._target_` names this function. Raises ConfigError."""
    settings, speed = parsed(PoolSettings, pool, runtime)
    limit = speed.per_model or 4 * settings.batch  # fills the next batch while one is generated
    return Phased(settings.models, TransformersLoader(settings), per_model=limit, simulated=settings.simulated)
