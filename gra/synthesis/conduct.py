"""What a synthesis runs on: the models, the journal and the engine between them, opened together and surely closed."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from gra.models.base import Backend
from gra.models.pool import load_target
from gra.settings import Settings
from gra.synthesis.engine import Engine
from gra.synthesis.journal import Journal
from gra.synthesis.reuse import JOURNAL, journals_under, usable

log = logging.getLogger("gra.synthesis")


class SynthesisRuntime(Settings):
    """The keys of `runtime` that the stage itself reads; models.pool.ModelRuntime has those of the backends."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    concurrency: int = Field(64, ge=1, description="Calls in flight, over all models.")
    embed_workers: int | None = Field(None, ge=1, description="Processes that embed for dedup; null: one per core.")
    reuse: list[str] = Field(default_factory=list, description="Folders whose journals answer what they can, at any depth.")
    earlier: list[str] = Field(default_factory=list, description="The same, found by the chain: what cannot be read is left out.")
    shard: str | None = Field(None, description="i/n: one job's part of a round; see sharding.py.")
    round: int | None = Field(None, ge=0, description="The round of the shard.")
    shard_proposals: int | None = Field(None, ge=1, description="Proposals that a round's shards prepare together.")


@asynccontextmanager
async def engine_for(config: dict[str, Any], output: Path) -> AsyncIterator[tuple[Engine, Backend]]:
    """The engine over the models that the run asks and `output`'s journal. Ctrl-C and SIGTERM stop it while it is open."""
    pool, runtime = asked_of(config["pool"], config["synthesis"]), config["runtime"]
    backend = load_target(pool)(pool, {**runtime, "log_folder": runtime.get("log_folder") or str(output / "servers")})
    settings = SynthesisRuntime.model_validate(runtime)
    own = output / JOURNAL
    found = [*journals_under(settings.reuse), *usable(settings.earlier)]
    others = [path for path in dict.fromkeys(found) if path.resolve() != own.resolve()]
    with Journal(own, others) as journal:
        async with backend:
            engine = Engine(backend, journal, settings.concurrency)
            with _stopped_by_signals(engine):
                yield engine, backend


def asked_of(pool: dict[str, Any], synthesis: Mapping[str, Any]) -> dict[str, Any]:
    """The pool with the models that the run may ask: under roles=single one. The others would be served, and loaded, for nothing,
    and take cores and memory from it."""
    if synthesis.get("roles") != "single":
        return pool
    wanted = synthesis.get("single_model")
    named = [model for model in pool["models"] if wanted in (None, model if isinstance(model, str) else model["name"])]
    return {**pool, "models": named[:1] or pool["models"]}


@contextmanager
def _stopped_by_signals(engine: Engine) -> Iterator[None]:
    """Ctrl-C or SIGTERM once: no new calls, those in flight are awaited. Twice: stop at once. Afterwards as before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may; whoever runs the stage elsewhere has its own way to end it
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if engine.stopping:
            engine.abort()
            task.cancel()
        else:
            log.warning("stopping: waiting for the calls in flight; once more stops at once. The same command goes on from here")
            engine.stop()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
