"""Starts model servers from a command template, waits until they are healthy, restarts them when they die and always
stops them.

The setting `pool.serve` (openai/settings.py) starts the servers of all models at once; pool=phased_servers starts one
at a time. Each server runs under guard.py, which ends it when this process ends, even by SIGKILL. A stage's result can
be reused after a change of the command, because the command is not part of the stage's fingerprint.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import random
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import Field

from gra import secret_patterns
from gra.errors import Problem, ServerError
from gra.machine import more_gpus, requested_gpus, server_jobs
from gra.models.launch.gpus import assign_gpus, visible_gpus
from gra.models.launch.process import Guarded
from gra.models.pool import ModelSettings
from gra.settings import Settings
from gra.waiting import reported
from gra.weights.place import path_of

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 2.0
HOST = "127.0.0.1"
# Below Linux's ephemeral ports (32768-60999): a free ephemeral port can become the local end of an outgoing connection
# before the server has loaded its model and listens on the port.
PORTS = range(20_000, 32_000)
_POLL_S = (0.1, 1.0)  # seconds between checks of a starting server: first, longest

_ports = random.Random()  # a separate generator, so that seeded draws elsewhere stay the same
_given: set[int] = set()  # ports in use by servers of this process


class ServeSettings(Settings):
    """How to start the server of each model.

    The command can contain these placeholders. {model}: the model's id, or its folder. {name}: its name in the pool.
    {port}: the port that the server must listen on. {gpus}: the number of GPUs that the server gets. {python}: the path
    of the running Python. {servers}: the number of servers that run at once. Two more placeholders need a model with
    `weights`. {weights}: the path of the weight file. {template}: the value of `chat_template` in the settings of the
    weights. If no `chat_template` is set, {template} becomes `own`, which means the template inside the weight file.
    """

    command: str | list[str] = Field(
        description="Command that starts a server: a list of words, or a string that is split into words as a shell does. It is "
        "run without a shell."
    )
    requires: dict[str, str] = Field(
        default_factory=dict,
        description="Python modules that the command needs, each with the hint how to install it, which is shown if it is "
        "missing.",
    )
    gpus_per_model: int | dict[str, int] = Field(
        0,
        description="Number of GPUs per server, or a mapping from model name to that number. 0: CUDA_VISIBLE_DEVICES is left "
        "unchanged.",
    )
    env: dict[str, str] = Field(
        default_factory=dict, description="Environment variables of the server, added to the inherited ones."
    )
    start_timeout_s: float = Field(
        600.0, gt=0, description="Seconds within which a started server must answer `health_path` with HTTP 200."
    )
    stop_timeout_s: float = Field(
        20.0, ge=0, description="Seconds that a server gets to end after SIGTERM, before SIGKILL."
    )
    health_path: str = Field(
        "/health", pattern="^/", description="Path of the health check; set /v1/models if the server has no /health."
    )
    restarts: int = Field(3, ge=0, description="Limit on restarts of a server that exits during the run.")

    def gpus_of(self, name: str) -> int:
        """Return the number of GPUs per server of the model `name`."""
        return self.gpus_per_model.get(name, 0) if isinstance(self.gpus_per_model, dict) else self.gpus_per_model

    def words(self, model: ModelSettings, port: int, gpus: int, servers: int = 1) -> list[str]:
        """Return the command that serves `model`, as a list of arguments in which all placeholders are replaced.
        `gpus`: the number of the server's GPUs. `servers`: the number of servers that run at once. Raises ValueError if
        the command string cannot be split, and StoreError if there is no cache for the model's weights."""
        values = {"{model}": model.served, "{name}": model.name, "{port}": str(port), "{gpus}": str(gpus)}
        values |= {"{python}": sys.executable, "{servers}": str(servers)}
        if model.weights is not None:
            values |= {"{template}": model.weights.chat_template or "own"}
            if self.says("{weights}"):
                values |= {"{weights}": str(path_of(model.weights))}
        words = shlex.split(self.command) if isinstance(self.command, str) else self.command
        for key, value in values.items():  # not str.format: JSON in a command contains braces
            words = [word.replace(key, value) for word in words]
        return words

    def says(self, place: str) -> bool:
        """Return whether the command has the placeholder `place`, e.g. {port}."""
        return any(place in word for word in ([self.command] if isinstance(self.command, str) else self.command))

    def problems(self, models: Sequence[ModelSettings], *, at_once: bool) -> list[Problem]:
        """Return the faults that can be found before a server is started. `at_once`: whether the servers of all models
        run at the same time. If not, they run one after the other."""
        found = []
        key = "pool.serve.command"
        found += self._module_problems()
        if self.says("{weights}"):
            without = [m.name for m in models if m.weights is None]
            remedy = "give `weights` to each model (see conf/pool/small.yaml)"
            if without:
                found.append(
                    Problem("pool.models", f"no weights for {', '.join(without)}, but {key} uses them", remedy)
                )
        try:
            words = self.words(models[0].model_copy(update={"weights": None}), 0, 1)
        except ValueError as error:
            return [Problem(key, f"cannot be split into words: {error}", "close the quote, or give a list of words")]
        if not words:
            return [Problem(key, "is empty", "e.g. 'vllm serve {model} --port {port}'")]
        if requested_gpus() is None and shutil.which(words[0], path=self.env.get("PATH")) is None:
            found.append(Problem(key, f"no such command: {words[0]}", "install it, or give its path"))
        if not self.says("{port}"):
            found.append(Problem(key, "has no {port}", "put {port} where the command sets the server's port"))
        if any(secret_patterns.is_option(word) for word in words):
            what = "every user of the machine can read a secret on a command line"
            found.append(Problem(key, what, "export it (VLLM_API_KEY, HF_TOKEN): the environment is inherited"))
        return found + self._gpu_problems(models, at_once)

    def _module_problems(self) -> list[Problem]:
        missing = [name for name in self.requires if requested_gpus() is None and not _module_there(name)]
        return [Problem("pool.serve.requires", f"no module {name}", self.requires[name]) for name in missing]

    def _gpu_problems(self, models: Sequence[ModelSettings], at_once: bool) -> list[Problem]:
        key, names = "pool.serve.gpus_per_model", [model.name for model in models]
        given = self.gpus_per_model
        counts = given if isinstance(given, dict) else {"": given}
        unknown = [name for name in counts if name and name not in names]
        found = [
            Problem(f"{key}.{name}", "no such model in pool.models", f"its models: {', '.join(names)}")
            for name in unknown
        ]
        found += [Problem(key, f"{c} GPUs", "set 0 or more") for c in counts.values() if c < 0]
        if found:
            return found
        wanted, visible = {name: self.gpus_of(name) for name in names}, visible_gpus()
        try:
            if at_once:
                assign_gpus(visible, wanted)
            else:
                assign_gpus(visible, {"the largest model": max(wanted.values())})
        except ValueError as error:
            apart = f"give each server a job of its own: {name}, " if (name := server_jobs()) and at_once else ""
            remedy = f"{more_gpus()}, {apart}lower {key}, or load the models in turn: pool=phased_servers"
            return [Problem(key, str(error), remedy)]
        return []


def _module_there(name: str) -> bool:
    """Return whether the module `name` can be imported here. It is not imported, because it can be large."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


class ServerProcess:
    """The server process of one model. `servers`: the number of servers that run at once on this machine. `secrets`:
    texts that are replaced by *** where the server's command or log is shown."""

    def __init__(
        self,
        model: ModelSettings,
        settings: ServeSettings,
        gpus: Sequence[str],
        log_file: Path,
        secrets: Sequence[str] = (),
        servers: int = 1,
    ):
        self.model, self.log_file, self.port, self.starts = model, log_file, free_port(), 0
        self._settings, self._seen = settings, "no connection"
        environment = {**settings.env, "CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else settings.env
        words = settings.words(model, self.port, len(gpus), servers)
        self._process = Guarded(words, environment, log_file, stop_s=settings.stop_timeout_s, secrets=secrets)

    @property
    def url(self) -> str:
        """The base URL, including /v1."""
        return f"http://{HOST}:{self.port}/v1"

    async def start(self) -> None:
        """Start the server and wait until it is healthy. Meanwhile, tell the user that GRA waits. Raises ServerError
        with the command and the log's last lines."""
        self.starts += 1
        begun = time.monotonic()
        try:
            await self._process.start()
        except OSError as error:
            raise ServerError(
                f"model `{self.model.name}`: its server cannot be started ({error})\n    -> correct pool.serve.command"
            ) from error
        with reported(
            lambda: f"waiting for server {self.url} of {self.model.name} ({self._seen}; log: {self.log_file})"
        ):
            await self._await_health(begun)
        log.info("%s is served on %s after %.1f s", self.model.name, self.url, time.monotonic() - begun)

    async def died(self) -> int:
        """Wait until the process exits. Return its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the process and its descendants. Returns when none is left."""
        await self._process.stop()
        _given.discard(self.port)

    def account(self, what: str) -> ServerError:
        """Return a ServerError about this server. Its text consists of `what`, which says what happened, then the
        command, the log's path and the log's last lines."""
        report = self._process.report(f"model `{self.model.name}`: {what}")
        return ServerError(
            f"{report}\n    -> run the command by hand, correct pool.serve, or raise pool.serve.start_timeout_s"
        )

    async def _await_health(self, begun: float) -> None:
        import aiohttp

        address = f"http://{HOST}:{self.port}{self._settings.health_path}"
        died = asyncio.ensure_future(self._process.wait())
        wait = _POLL_S[0]
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
                while not died.done() and time.monotonic() - begun < self._settings.start_timeout_s:
                    try:
                        async with session.get(address) as answer:
                            self._seen = f"HTTP {answer.status}"
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        self._seen = type(error).__name__
                    if self._seen == "HTTP 200" and not died.done():
                        return
                    await asyncio.wait([died], timeout=wait)
                    wait = min(1.5 * wait, _POLL_S[1])
            if died.done():
                raise self.account(f"its server exited with code {died.result()} before it was healthy")
            await self.stop()
            limit = f"within {self._settings.start_timeout_s:g} s (last result: {self._seen})"
            raise self.account(f"its server did not answer GET {self._settings.health_path} {limit}")
        finally:
            died.cancel()


@asynccontextmanager
async def kept_up(server: ServerProcess, restarts: int) -> AsyncIterator[asyncio.Task[None]]:
    """Start `server`, restart it up to `restarts` times when it dies, and stop it at the end of the `with` block.

    Yields the task that watches the server. This task ends with a ServerError when the server has died and no restart
    is left.
    """

    async def restart(server: ServerProcess, restarts: int) -> None:
        """Start the server again. If the start fails, try again while restarts are left. A start can fail just after a
        crash because the GPU's memory is not free yet."""
        while True:
            try:
                return await server.start()
            except ServerError as error:
                if server.starts > restarts:
                    raise
                log.warning("%s; restart %d of %d", error, server.starts, restarts)
                await asyncio.sleep(RESTART_PAUSE_S)

    async def restart_on_exit() -> None:
        while True:
            code = await server.died()
            if server.starts > restarts:
                raise server.account(f"its server exited with code {code} after {server.starts - 1} restarts")
            log.warning(
                "%s: its server exited with code %d; restart %d of %d", server.model.name, code, server.starts, restarts
            )
            await restart(server, restarts)

    try:
        await server.start()
        watcher = asyncio.create_task(restart_on_exit(), name=f"watch {server.model.name}")
        try:
            yield watcher
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    finally:
        await server.stop()


def free_port() -> int:
    """Return a TCP port that nothing listens on now and that this process has not given to another server. Raises
    ServerError."""
    for port in _ports.sample(PORTS, len(PORTS)):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise ServerError(f"no free port in {PORTS.start}-{PORTS.stop - 1}\n    -> end other servers on this machine")


def log_file(folder: str | None, name: str) -> Path:
    """Return the path of the log file for the server of the model `name`. `folder`: the folder of the logs, or None for
    the folder `servers` in the current folder. A stage of a run passes OUTPUT/servers (`runtime.log_folder`)."""
    return Path(folder or "servers") / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-') or 'model'}.log"
