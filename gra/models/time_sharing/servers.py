"""Runs models in turn, each behind a server that is started for its turn and stopped at its end: conf/pool/phased_servers.yaml."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gra.errors import Problem
from gra.models.base import Backend
from gra.models.launch.server import ServeSettings
from gra.models.managed import StartedServers
from gra.models.openai import backend
from gra.models.openai import settings as openai
from gra.models.pool import ModelRuntime, ModelSettings, parsed
from gra.models.time_sharing.scheduler import Phased

PER_MODEL = 256  # calls in flight per server: vLLM's default; more would queue in the server and time out


class PoolSettings(openai.PoolSettings):
    """The keys of the config group `pool` if the models run one after the other, each in an OpenAI-compatible server of
    its own. One model at a time then has all GPUs. The key `serve` says how to start the servers."""

    by_turns: ClassVar[bool] = True
    serve: ServeSettings | None = Field(
        description="How to start the server of each model. Required: null is an error."
    )

    def serve_problems(self) -> list[Problem]:
        if self.serve is None:
            remedy = "e.g. pool.serve.command='vllm serve {model} --port {port}'"
            return [Problem("pool.serve", "required, but not set", remedy)]
        return self.serve.problems(self.models, at_once=False)


class ServerLoader:
    """A `Loader` (scheduler.py) that starts a server to load a model, and stops the server to unload the model. Loading
    ends when the server is healthy."""

    def __init__(self, settings: PoolSettings, runtime: ModelRuntime):
        self._settings, self._runtime = settings, runtime

    def load(self, model: ModelSettings) -> AbstractAsyncContextManager[Backend]:
        return StartedServers(self._settings, self._runtime, [model], backend.client)

    def gpus(self, model: ModelSettings) -> int:
        return self._settings.serve.gpus_of(model.name) if self._settings.serve else 0


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Phased:
    """Return the backend for `pool`; `pool._target_` names this function. Raises ConfigError."""
    settings, speed = parsed(PoolSettings, pool, runtime)
    folder = Path(speed.log_folder) if speed.log_folder else None
    loader = ServerLoader(settings, speed)
    limit = speed.per_model or PER_MODEL
    return Phased(settings.models, loader, per_model=limit, simulated=settings.simulated, folder=folder)
