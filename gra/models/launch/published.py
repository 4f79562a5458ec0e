"""Runs the server of one model as a job of its own, and publishes the server's address for the runs that call it
(gra/server_addresses.py).

The job starts the command of `pool.serve` in the same way as a run that starts its own servers (server.py). It writes
the address to a file as soon as other nodes can call the server, and rewrites the file regularly while the server is
up. When the job ends, it marks the address as no longer valid. The job ends when no run needs the server any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import replace

from gra import event_loop, server_addresses
from gra.errors import EXIT_PREEMPTED, ConfigError, ServerError
from gra.models.launch.gpus import assign_gpus, visible_gpus
from gra.models.launch.server import ServerProcess, ServeSettings, kept_up, log_file
from gra.models.openai.http_client import Fault, Limits, Session
from gra.models.openai.settings import PoolSettings
from gra.models.pool import ModelSettings
from gra.server_addresses import BEAT_S, LEFT, Address
from gra.server_jobs import ServerTask
from gra.signals import PREEMPTING

LOOK_S = 15.0  # seconds between two checks whether the server is still wanted
_LIMITS = Limits(10.0, 5.0)
log = logging.getLogger(__name__)


def run(settings: PoolSettings, name: str, task: ServerTask) -> int:
    """Serve the model `name` until no run needs it any more, and return the exit code.

    The exit code is 0 if no run needs the server any more, or if another job serves the model in its place. It is 85
    after SIGTERM or SIGUSR1. Raises ConfigError, and ServerError if the server keeps failing.
    """
    assert settings.serve is not None
    serve = settings.serve.model_copy(update={"gpus_per_model": settings.serve.gpus_of(name)})
    (model,) = (model for model in settings.models if model.name == name)
    if problems := serve.problems([model], at_once=True):
        raise ConfigError(problems)
    secrets = [os.environ.get(settings.api_key_env, "").strip()]
    return event_loop.run(_Published(model, serve, secrets, task).run())


class _Published:
    """The server of one task and its address."""

    def __init__(self, model: ModelSettings, serve: ServeSettings, secrets: list[str], task: ServerTask):
        self._serve, self._task = serve, task
        gpus = assign_gpus(visible_gpus(), {model.name: serve.gpus_of(model.name)})[model.name]
        logs = log_file(str(task.logs), f"{task.number}-{model.name}")
        self._server = ServerProcess(model, serve, gpus, logs, secrets)
        url = f"http://{task.host}:{self._server.port}/v1"
        self._mine = Address(model.name, url, task.job, task.attempt, 0.0)

    async def run(self) -> int:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in PREEMPTING:
            loop.add_signal_handler(number, stopped.set)
        ends = {
            asyncio.create_task(stopped.wait()): EXIT_PREEMPTED,
            asyncio.create_task(self._until_unwanted()): 0,
            asyncio.create_task(self._keep_published()): 0,
        }
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()  # raises the server's fault
            return max(ends[ended] for ended in done)
        finally:
            self._mark_left()  # first, so that no client calls the server any more
            for each in ends:
                each.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            # a second signal must not cut the end short; event_loop.run restores the handlers
            for number in PREEMPTING:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    async def _until_unwanted(self) -> None:
        while await asyncio.to_thread(self._task.wanted):
            await asyncio.sleep(LOOK_S)
        log.info("no job calls this server any more: it ends")

    async def _keep_published(self) -> None:
        """Start the server and keep its address published until another task publishes its own address instead. Raises
        ServerError."""
        async with kept_up(self._server, self._serve.restarts) as watcher:
            await self._check_reached()
            self._write()
            log.info("%s: %s is published in %s", self._mine.model, self._mine.url, self._task.addresses)
            while True:
                await asyncio.wait([watcher], timeout=BEAT_S)
                if watcher.done():
                    watcher.result()
                if not self._is_mine():
                    log.info("another job serves in its place: it ends")
                    return
                try:
                    self._write()
                except OSError as error:
                    log.warning("its address cannot be written: %s", error)

    async def _check_reached(self) -> None:
        """Raise ServerError if the server does not answer at the address that other nodes call."""
        session = Session({"Accept": "application/json"})
        address = self._mine.url.removesuffix("/v1") + self._serve.health_path
        try:
            await session.exchange("GET", address, None, _LIMITS)
        except Fault as fault:
            raise ServerError(
                f"model `{self._mine.model}`: its server answers on this node, but not at {address}, where the clients call it "
                f"({fault})\n    -> let it listen on all addresses (vLLM does; others: --host 0.0.0.0 in pool.serve.command), or "
                "give the node's name with cluster.stages.NAME.servers.host"
            ) from None
        finally:
            await session.close()

    def _write(self) -> None:
        server_addresses.write(self._task.addresses, self._task.number, self._mine)

    def _is_mine(self) -> bool:
        there = server_addresses.read(self._task.addresses, self._task.number)
        return there is None or there.same_task(self._mine) or there.state == LEFT

    def _mark_left(self) -> None:
        try:
            if self._is_mine():
                server_addresses.write(self._task.addresses, self._task.number, replace(self._mine, state=LEFT))
        except OSError as error:
            log.warning("its address cannot be taken back: %s", error)
