"""Opens the models, the journal and the engine for one run and closes them on exit."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from gra.errors import STOPPED_AT_ONCE, GraError, Interrupted, Preempted
from gra.models.base import Backend
from gra.signals import PREEMPTING
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.engine import shard_folders
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.reuse import JOURNAL, journals_under, usable

# Within this many seconds, a repeated SIGTERM or SIGUSR1 counts once, because srun and the batch shell both forward it.
GRACE = 2.0
log = logging.getLogger("gra.synthesis")


@asynccontextmanager
async def engine_for(config: SynthesisConfig, output: Path) -> AsyncIterator[tuple[Engine, Backend]]:
    """Open the models that the run uses and the journal in the folder `output`, and yield (engine, backend). While they
    are open, Ctrl-C, SIGTERM and SIGUSR1 stop the engine."""
    backend = config.pool.backend(config.models_called, output / "servers")
    runtime = config.runtime
    own = output / JOURNAL
    found = [*journals_under(runtime.reuse), *usable(runtime.earlier)]
    parts, beside = shard_folders.journals(runtime.shards, config.shard, config.synthesis.rounds, output)
    others = [path for path in dict.fromkeys([*beside, *found]) if path.resolve() != own.resolve()]
    with Journal(own, others, parts) as journal:
        async with backend:
            engine = Engine(backend, journal, runtime.concurrency)
            with _stopped_by_signals(engine):
                yield engine, backend


@contextmanager
def _stopped_by_signals(engine: Engine) -> Iterator[None]:
    """Stop the engine on Ctrl-C, SIGTERM and SIGUSR1 while the block runs. After the first signal the engine sends no
    new call and waits for the calls in flight. A second signal stops it at once.

    Batch systems announce the end of a job with SIGTERM or SIGUSR1. Some send both signals, or send one of them twice.
    Two kinds of second signals are therefore ignored: a SIGTERM after a SIGUSR1, and a SIGTERM or SIGUSR1 that repeats
    the first signal within GRACE seconds. Raises Interrupted (exit code 130) if the first signal was Ctrl-C, else
    Preempted (exit code 85).
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers; a caller in another thread must stop the stage itself
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    heard: list[tuple[int, float]] = []

    def stop(number: int) -> None:
        heard.append((number, time.monotonic()))
        if not engine.stopping:
            log.warning(
                "stopping: waiting for the calls in flight; a second signal stops at once. Run the same command again to resume"
            )
            engine.stop()
        elif not _announced_again(heard):
            engine.abort()
            task.cancel()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *PREEMPTING)}
    for number in before:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except Interrupted as error:
        raise _ending(heard)(str(error)) from None
    except asyncio.CancelledError:
        if not engine.aborted:
            raise
        raise _ending(heard)(STOPPED_AT_ONCE) from None
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            # Once the run ends because of a signal, further signals change nothing. A handler that raises inside
            # uvloop's loop would make the loop's closing fail. `event_loop.run` restores the handlers after the loop is
            # closed.
            signal.signal(number, signal.SIG_IGN if heard else signal.SIG_DFL if handler is None else handler)


def _announced_again(heard: Sequence[tuple[int, float]]) -> bool:
    """Return whether the last signal only repeats a batch system's announcement."""
    (first, at), (last, now) = heard[0], heard[-1]
    if last not in PREEMPTING:
        return False
    return (first, last) == (signal.SIGUSR1, signal.SIGTERM) or (first == last and now - at < GRACE)


def _ending(heard: Sequence[tuple[int, float]]) -> type[GraError]:
    return Preempted if heard and heard[0][0] in PREEMPTING else Interrupted
