"""Lets separate jobs run the servers of a stage's models. Makes the config with which the stage finds these servers,
and runs the server in each of these jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.models.openai.settings import PoolSettings
from gra.models.pool import settings_of
from gra.server_jobs import Served, ServerTask


def served(
    pool: Mapping[str, Any],
    runtime: Mapping[str, Any],
    names: Sequence[str],
    within: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> Served | None:
    """Return a `Served` object, which describes how batch jobs of their own can serve the models `names` of a valid
    pool. Return None if the pool starts no servers, or starts them one after the other.

    `within(pool, runtime)`: a function that returns the stage's whole config, in which its two arguments replace the
    groups `pool` and `runtime`.
    """
    settings = settings_of(pool)
    if not isinstance(settings, PoolSettings) or settings.serve is None or settings.by_turns:
        return None

    def client(folder: Path, wait_s: float) -> dict[str, Any]:
        waits = {key: max(float(runtime.get(key) or 0), wait_s) for key in ("startup_wait_s", "give_up_after_s")}
        return within({**pool, "addresses": str(folder)}, {**runtime, **waits})

    def serve(task: ServerTask) -> int:
        from gra.models.launch.published import run

        return run(settings, names[task.number % len(names)], task)

    return Served(tuple(names), client, serve)
