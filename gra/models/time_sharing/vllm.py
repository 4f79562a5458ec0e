"""Runs models in turn on vLLM's engine, without HTTP: conf/pool/phased_vllm.yaml.

Each turn is a child process (vllm_worker.py). The process ends with the turn, so that all of its GPU memory is freed.
Rounding depends on which requests share a batch, so replies can differ between runs, as with any server that forms
batches. VLLM_BATCH_INVARIANT=1 in the environment prevents this, but reduces speed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from gra.errors import Problem, ServerError
from gra.machine import more_gpus, too_few_gpus
from gra.models.base import Backend, Reply, Request
from gra.models.launch.gpus import visible_gpus
from gra.models.launch.process import Guarded
from gra.models.launch.server import log_file
from gra.models.local import vllm_worker
from gra.models.openai.choices import TOP, masses
from gra.models.openai.wire import messages_of
from gra.models.pool import ModelSettings, PoolBase, parsed
from gra.models.time_sharing.scheduler import Phased

PER_MODEL = 1024  # requests in the engine at once; vLLM runs engine.max_num_seqs of them in parallel
_LAST_WORDS_S = 10.0
_OWN = (
    "model",
    "revision",
    "dtype",
    "tensor_parallel_size",
    "gpu_memory_utilization",
    "max_model_len",
    "trust_remote_code",
)


class PoolSettings(PoolBase):
    """The keys of the config group `pool` if vLLM loads the models one after the other. Each `model` is a folder or a
    hub id, loaded with its `revision` and `dtype`."""

    by_turns: ClassVar[bool] = True
    python: str | None = Field(
        None, description="Path of a Python that has vLLM; null: the Python that runs this command."
    )
    dtype: str = Field("auto", description="dtype of the models that set none. auto: as saved.")
    max_model_len: int | None = Field(
        None, ge=1, description="Maximum number of tokens of prompt and reply; null: the model's limit."
    )
    tensor_parallel: int = Field(1, ge=1, description="GPUs per model.")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="Fraction of each GPU's memory for vLLM.")
    start_timeout_s: float = Field(900.0, gt=0, description="Longest time to load a model, in seconds.")
    engine: dict[str, Any] = Field(
        default_factory=dict, description="Other arguments of vLLM's EngineArgs, e.g. {max_num_seqs: 512}."
    )
    structured: Literal["on", "off"] = Field(
        "on", description="on: JSON schemas are enforced; off: JSON is requested in plain text."
    )
    send_seed: bool = Field(
        True, description="true: give each request a seed; false: give none (sampling is then not repeatable)."
    )
    strip_think: bool = Field(True, description="true: remove the reasoning (e.g. between think tags) from replies.")
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the chat template, e.g. {enable_thinking: false}."
    )
    trust_remote_code: bool = Field(False, description="true: run the code of a model's repository.")

    def problems(self) -> list[Problem]:
        found = super().problems()
        if self.python is None and importlib.util.find_spec("vllm") is None:
            remedy = "pip install 'gra[vllm]', or set pool.python=/path/to/venv/bin/python to a Python with vLLM"
            found.append(Problem("pool._target_", "vLLM is not installed here", remedy))
        if self.python is not None and shutil.which(self.python) is None:
            found.append(
                Problem("pool.python", f"no such program: {self.python}", "give the path of a Python with vLLM")
            )
        own = [key for key in self.engine if key in _OWN]
        found += [
            Problem(
                f"pool.engine.{key}",
                "the pool or its models already set this argument",
                "set it there, not in pool.engine",
            )
            for key in own
        ]
        if self.tensor_parallel > max(1, len(visible_gpus())):
            what = too_few_gpus(self.tensor_parallel, len(visible_gpus()))
            found.append(Problem("pool.tensor_parallel", what, f"lower it, or {more_gpus()}"))
        return found

    def engine_of(self, model: ModelSettings) -> dict[str, Any]:
        """Return the EngineArgs for `model`."""
        return {
            "model": model.served,
            "revision": model.revision,
            "dtype": model.dtype or self.dtype,
            "tensor_parallel_size": self.tensor_parallel,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "max_model_len": self.max_model_len,
            "trust_remote_code": self.trust_remote_code,
            "seed": 0,
            **self.engine,
        }


def connect(pool: dict[str, Any], runtime: dict[str, Any]) -> Phased:
    """Return the backend for `pool`; `pool._target_` names this function. Raises ConfigError."""
    settings, speed = parsed(PoolSettings, pool, runtime)
    limit = speed.per_model or PER_MODEL
    return Phased(
        settings.models, VllmLoader(settings, speed.log_folder), per_model=limit, simulated=settings.simulated
    )


class VllmLoader:
    """A `Loader` (scheduler.py) that starts a child process with a vLLM engine to load a model, and ends the process to
    unload the model."""

    def __init__(self, settings: PoolSettings, log_folder: str | None):
        self._settings, self._log_folder = settings, log_folder

    @asynccontextmanager
    async def load(self, model: ModelSettings) -> AsyncIterator[Backend]:
        settings = self._settings
        with tempfile.TemporaryDirectory(
            prefix="gra-vllm-"
        ) as folder:  # not in the output folder: socket paths must be short
            path = f"{folder}/s"
            words = [settings.python or sys.executable, vllm_worker.__file__, path]
            process = Guarded(words, {}, log_file(self._log_folder, model.name), stop_s=20.0)
            engine = VllmEngine(settings, model, process)
            server = await asyncio.start_unix_server(engine.connected, path, limit=64 << 20)
            async with server:
                try:
                    await process.start()
                    async with engine:
                        yield engine
                finally:
                    await process.stop()

    def gpus(self, model: ModelSettings) -> int:  # noqa: ARG002 - the same for all models
        return self._settings.tensor_parallel if visible_gpus() else 0


class VllmEngine(Backend):
    """A `gra.models.base.Backend` with one model: the client of vllm_worker.py."""

    simulated = False

    def __init__(self, settings: PoolSettings, model: ModelSettings, process: Guarded):
        self.models: tuple[str, ...] = (model.name,)
        self._settings, self._model, self._process = settings, model, process
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._names = map(str, itertools.count())
        loop = asyncio.get_running_loop()
        self._streams: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = loop.create_future()
        self._ready: asyncio.Future[str] = loop.create_future()
        self._reading: asyncio.Task[None] | None = None

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept the child's connection. asyncio calls it when the child connects."""
        if not self._streams.done():
            self._streams.set_result((reader, writer))

    async def __aenter__(self) -> Self:
        """Wait until the engine is ready. Raises ServerError, with the last lines of the log, if the engine exits or is not
        ready in time."""
        self._reading = asyncio.create_task(self._read())
        futures: list[asyncio.Future[Any]] = [self._reading, self._ready]
        done, _ = await asyncio.wait(futures, timeout=self._settings.start_timeout_s, return_when="FIRST_COMPLETED")
        if not done:
            await self._close()
            raise self._lost(f"its engine was not ready within {self._settings.start_timeout_s:g} s")
        if not self._ready.done():
            await self._reading
            raise self._lost("its engine exited while loading")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def chat(self, request: Request) -> Reply:
        """Return the model's reply. Raises ServerError if the engine has exited."""
        assert self._reading is not None
        if self._reading.done():
            raise self._lost("its engine has exited")
        settings = self._settings
        name = next(self._names)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._calls[name] = answer
        self._send(
            {
                "id": name,
                "messages": messages_of(request, self._model.system_role),
                "temperature": request.temperature,
                "top_p": request.top_p,
                "max_tokens": request.max_tokens,
                "seed": request.seed if settings.send_seed else None,
                "schema": request.schema if settings.structured == "on" else None,
                "top": TOP[0] if request.choices else 0,
            }
        )
        try:
            value = await answer
        except asyncio.CancelledError:
            self._send({"abort": name})
            raise
        finally:
            del self._calls[name]
        if "error" in value:
            return Reply("", finish="error", error=value["error"])
        found = masses(request.choices, value["first"] or ()) if request.choices else None
        return Reply(value["text"], value["tokens_in"], value["tokens_out"], value["finish"], choices=found)

    def _send(self, message: dict[str, Any]) -> None:
        self._streams.result()[1].write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        """Pass the child's messages to the waiting calls until the child exits; then make the remaining calls raise
        ServerError."""
        ended = asyncio.ensure_future(self._process.wait())
        try:
            futures: list[asyncio.Future[Any]] = [ended, self._streams]
            await asyncio.wait(futures, return_when="FIRST_COMPLETED")
            if not self._streams.done():
                return
            reader, _ = self._streams.result()
            self._send(
                {"engine": self._settings.engine_of(self._model), "template": self._settings.chat_template_kwargs}
            )
            with suppress(ConnectionError):
                while line := await reader.readline():
                    message = json.loads(line)
                    if "ready" in message:
                        self._ready.set_result(message["ready"])
                    elif (call := self._calls.get(message["id"])) is not None and not call.done():
                        call.set_result(message)
            # the cause is in the log a moment after the socket closes
            await asyncio.wait([ended], timeout=_LAST_WORDS_S)
        finally:
            ended.cancel()
            for call in self._calls.values():
                if not call.done():
                    call.set_exception(self._lost("its engine exited during a call"))

    async def _close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._streams.done() and not self._streams.cancelled():
            self._streams.result()[1].close()

    def _lost(self, what: str) -> ServerError:
        report = self._process.report(f"model `{self._model.name}`: {what}")
        return ServerError(
            f"{report}\n    -> see the log; if memory is short, lower pool.max_model_len or gpu_memory_utilization"
        )
