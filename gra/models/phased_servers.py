"""Models by turns, each behind a server that is started for its turn and stopped after it: conf/pool/phased_servers.yaml."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gra.errors import ConfigError, Problem
from gra.models import server_pool
from gra.models.base import Backend
from gra.models.phased import Phased
from gra.models.pool import ModelRuntime, ModelSettings
from gra.models.served import Served
from gra.models.serving import ServeSettings
from gra.settings import parse

PER_MODEL = 256  # calls in flight at a server: vLLM's own default; what waits at the server would run into timeouts


class PoolSettings(server_pool.PoolSettings):
    """Keys of a pool of servers (server_pool.py); `serve` is required, and its GPUs are for one model at a time."""

    by_turns: ClassVar[bool] = True
    serve: ServeSettings | None = Field(description="How to start the server of a model.")

    def serve_problems(self) -> list[Problem]:
        if self.serve is None:
            return [Problem("pool.serve", "required, but not set", "pool.serve.command='vllm serve {model} --port {port}'")]
        return self.serve.problems(self.models, at_once=False)


class ServerLoader:
    """A `gra.models.phased.Loader`: load = start a server and wait until it is healthy; unload = stop it."""

    def __init__(self, settings: PoolSettings, runtime: dict[str, Any]):
        self._settings, self._runtime = settings, runtime

    def load(self, model: ModelSettings) -> AbstractAsyncContextManager[Backend]:
        return Served(self._settings, self._runtime, [model])

    def gpus(self, model: ModelSettings) -> int:
        return self._settings.serve.gpus_of(model.name) if self._settings.serve else 0


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Phased:
    """The backend for `pool` (`pool._target_` names this function). Raises ConfigError."""
    settings, problems = parse(PoolSettings, pool, "pool")
    speed, more = parse(ModelRuntime, runtime, "runtime")
    problems += more + (settings.problems() if settings else [])
    if settings is None or speed is None or problems:
        raise ConfigError(problems)
    folder = Path(runtime["log_folder"]) if runtime.get("log_folder") else None
    loader = ServerLoader(settings, runtime)
    limit = speed.per_model or PER_MODEL
    return Phased(settings.models, loader, per_model=limit, simulated=settings.simulated, folder=folder)
