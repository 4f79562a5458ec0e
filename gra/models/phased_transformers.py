"""Models by turns in this process, with transformers: conf/pool/phased_transformers.yaml. For tests and for want of a server."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

from gra.errors import ConfigError
from gra.models import transformers_local
from gra.models.base import Backend
from gra.models.gpus import visible_gpus
from gra.models.phased import Phased
from gra.models.pool import ModelRuntime, ModelSettings
from gra.settings import parse


class PoolSettings(transformers_local.PoolSettings):
    """Keys of a pool of local models (transformers_local.py), one in memory."""

    by_turns: ClassVar[bool] = True
    max_loaded: Literal[1] = 1


class TransformersLoader:
    """A `gra.models.phased.Loader`: load = a pool of one model, which reads its weights on its first call."""

    def __init__(self, settings: PoolSettings):
        self._settings = settings

    @asynccontextmanager
    async def load(self, model: ModelSettings) -> AsyncIterator[Backend]:
        async with transformers_local.TransformersLocal(self._settings.model_copy(update={"models": [model]})) as backend:
            yield backend
        del backend
        gc.collect()
        torch = sys.modules.get("torch")  # not there where nothing was ever generated
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def gpus(self, model: ModelSettings) -> int:  # noqa: ARG002 - the same for all
        return 1 if self._settings.device not in ("cpu", "mps") and visible_gpus() else 0


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Phased:
    """The backend for `pool` (`pool._target_` names this function). Raises ConfigError."""
    settings, problems = parse(PoolSettings, pool, "pool")
    speed, more = parse(ModelRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    limit = speed.per_model or 4 * settings.batch  # enough to fill the next batch while one is generated
    return Phased(settings.models, TransformersLoader(settings), per_model=limit, simulated=settings.simulated)
