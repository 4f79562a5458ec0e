"""Runs the synthesis stage: it turns a config and seeds into a data folder (data/train.parquet, rejected.parquet,
stats.json, README.md, journal).

Command: gra synthesize seeds.path=FILE pool=servers pool.base_url=URL 'pool.models=[a,b,c,d,e]' output=DIR

It can be killed at any moment: the same command resumes from the journal and ends with the same data.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from gra import event_loop, labels
from gra.embedding.embed import embedder_problems
from gra.errors import STOPPED_AT_ONCE, ConfigError, Interrupted, Problem
from gra.models import identity
from gra.models.pool import check_pool
from gra.models.preflight import pool_problems
from gra.outlook import Outlook, Upstream
from gra.parts import Wave
from gra.settings import parse
from gra.synthesis import prompts
from gra.synthesis.checks import SECTIONS, check
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.health import Health
from gra.synthesis.config import SynthesisConfig, SynthesisRuntime, parsed, served, shard_of
from gra.synthesis.decontamination import filter
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import benchmark_files, check_sources, unreadable
from gra.synthesis.dedup.pool import TargetPoolProcess
from gra.synthesis.engine import shard_folders, sharding
from gra.synthesis.engine.reuse import bought_again, kept, reuse
from gra.synthesis.engine.session import engine_for
from gra.synthesis.model_loads import estimate_loads
from gra.synthesis.output import price
from gra.synthesis.output.ending import SPOOL, finish
from gra.synthesis.output.folder import Material
from gra.synthesis.probe import after_run
from gra.synthesis.progress.state import State
from gra.synthesis.progress.terminal import Progress
from gra.synthesis.rounds import Committee, Synthesis
from gra.synthesis.run_rules import describe_filter, rules_of
from gra.synthesis.seed_only import ADDED_LATER as SEEDS_ADDED_LATER
from gra.synthesis.seeds import trial
from gra.synthesis.seeds.load import SeedSet, SeedSettings, load_seeds, report_bad, seed_files, warn_of_foreign_seeds
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.task_filter import label_files

NAME = "synthesis"
# 3: more ways in which replies end are recognised; seeds are read record by record, without reasoning and template tokens
# 4: thin domains borrow, truncated responses get more tokens, rounds end by pace, copies of the prompt are unusable
VERSION = 4
INSIDE_INPUTS = {"seeds.path": "seeds"}  # a relative path is inside the input `seeds`, if there is one
ADDED_LATER = {
    "synthesis.example_sets": None,
    "synthesis.composite": "mean",
    "synthesis.slots": "keep",
    "synthesis.checkers": None,
    "synthesis.check_scoring": None,
    "synthesis.task_threshold": 0.85,
    **SEEDS_ADDED_LATER,
}
# Where models are served does not change their replies. Prompts, labels and benchmarks are hashed by content, not by name.
NOT_HASHED = (*identity.NOT_HASHED, "synthesis.prompts", "synthesis.task_labels", "synthesis.decontaminate.data_dir")
OF_A_PART = ("shard", "synthesis.rounds")  # keys in which a shard or a merge differs from the whole run
__all__ = [
    "bought_again",
    "check",
    "divide",
    "external_files",
    "kept",
    "outlook",
    "preflight",
    "reuse",
    "run",
    "served",
    "whole",
]

log = logging.getLogger("gra.synthesis")


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return the files whose content decides the output. These are the seeds, the prompts in use, the label files that
    train the task filter, and the benchmarks for decontamination."""
    synthesis = config.get("synthesis") or {}
    files = {f"synthesis.prompts/{name}": path for name, path in prompts.sources(synthesis.get("prompts")).items()}
    files |= label_files.files(synthesis.get("task_labels"))
    seeds, _ = parse(SeedSettings, config.get("seeds") or {}, "seeds")
    rules, _ = parse(DecontaminateSettings, synthesis.get("decontaminate") or {})
    return (
        files | (seed_files(seeds) if seeds is not None else {}) | (benchmark_files(rules) if rules is not None else {})
    )


def divide(config: dict[str, Any], output: Path, count: int) -> tuple[list[Wave], dict[str, Any]]:
    """Divide a synthesis among several jobs. Return these jobs, and the config of the final run, which follows them and
    writes `output`.

    The jobs are grouped in waves, and each wave starts after the one before it. In each round of the synthesis, `count`
    jobs, called shards, make the model calls and record them. The returned config makes the final run import the
    recorded calls. Raises StoreError if an unfinished run was begun with another number of shards.
    """
    if not (output / labels.MANIFEST).is_file():
        shard_folders.refuse_other(output.with_name(f"{output.name}{sharding.SHARDS}"), count)
    rounds = SynthesisSettings.model_validate(config["synthesis"]).rounds
    return sharding.waves(config, rounds, output, count), sharding.gathering(config, output)


def whole(config: dict[str, Any], output: Path) -> Path | None:
    """Return a finished folder that already holds the results of this job, which is a shard (a part of a round) or the
    merge of a round's shards. Return None if there is no such folder, or if the run is not divided into shards."""
    shards = SynthesisRuntime.model_validate(config["runtime"]).shards
    if shards is None:
        return None
    mine = shard_of(config)
    number = mine.round if mine else SynthesisSettings.model_validate(config["synthesis"]).rounds
    return shard_folders.finished(Path(shards), number, output)


def outlook(
    config: dict[str, Any],
    inputs: dict[str, Path | None],
    own: Path | None,
    earlier: Sequence[Path],
    upstream: Upstream,  # noqa: ARG001
) -> Outlook:
    """Return how many calls and model loads the run is expected to need, for `gra plan`. The config must be valid."""
    given = parsed(config)
    count = trial.count(given.seeds, inputs)
    found = price.outlook(given, count, [*([own] if own is not None else []), *earlier], own)
    if not given.pool.by_turns:
        return found
    concurrency = given.runtime.concurrency
    expected, least = _loads_expected(given), estimate_loads(given.synthesis, len(given.pool.names), 10**9)
    line = f"models are loaded in turn: at most about {expected} loads with {concurrency} samples in flight (runtime.concurrency)"
    line += f"; with more samples in flight fewer, down to {least}" if least < expected else ""
    return replace(found, lines=[*found.lines, line])


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the faults outside the config that would stop a run. These are unusable seeds, models that no server
    offers, unreadable benchmark files, and an unavailable embedding model. Faults that `check` reports, and faults that
    follow from them, are not repeated here."""
    if any(section not in config for section in SECTIONS):
        return []
    problems = trial.problems(parse(SeedSettings, config["seeds"])[0], inputs)
    settings, _ = parse(SynthesisSettings, config["synthesis"])
    if settings is not None:
        if not check_sources(settings.decontaminate, inputs):
            problems += unreadable(settings.decontaminate, inputs.get("benchmarks"))
        problems += embedder_problems(settings.dedup.model)
        problems += label_files.problems(settings.task_labels)
    return problems + ([] if check_pool(config["pool"], config["runtime"]) else pool_problems(config["pool"]))


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Run the synthesis, write its data folder to `output`, and return its metrics.

    Raises ConfigError, SeedError, ServerError or StoreError if the run cannot be completed. Raises NothingKept if no
    sample was kept. The message of NothingKept says why the samples were dropped.
    """
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    start = time.time()
    given = parsed(config)
    seeds = load_seeds(given.seeds, given.seed, inputs.get("seeds"))
    report_bad(seeds.bad, output)
    warn_of_foreign_seeds(given.seeds, inputs.get("seeds"), given.pool.settings.simulated)
    shutil.rmtree(output / SPOOL, ignore_errors=True)  # left by a killed run; the journal holds all that is needed
    probe = after_run.read_probe(inputs.get("probe"))
    rules = rules_of(given, inputs.get("probe"))
    describe_filter(rules.tasks)
    with closing(filter.build(given.synthesis.decontaminate, inputs.get("benchmarks"))) as against:
        return _make(given, rules, inputs.get("seeds"), seeds, against, probe, output, start)


def _make(
    config: SynthesisConfig,
    rules: Rules,
    place: Path | None,
    seeds: SeedSet,
    against: filter.ContaminationFilter,
    probe: dict[str, Any] | None,
    output: Path,
    start: float,
) -> dict[str, float]:
    """Run the rounds and write the data folder. `place`: the folder of the input `seeds`. `probe`: the content of the probe's
    result."""
    try:
        result, traffic, simulated = event_loop.run(_synthesize(config, rules, seeds, against, output))
    except asyncio.CancelledError:
        raise Interrupted(STOPPED_AT_ONCE) from None
    files = seed_files(config.seeds).values()
    # data that real models make from seeds of the simulated world count as simulated
    simulated = simulated or labels.simulated([place, *files])
    material = Material(config, rules, seeds, against)
    stats = material.statistics(result, simulated, probe)
    material.write(output, result, stats)
    metrics = finish(config, output, result, stats, traffic, start, place)
    why = (
        "max_proposals were made"
        if config.synthesis.max_proposals
        else "at its keep rate, 20 proposals per sample would not be enough"
    )
    for number in result.short:
        log.warning("round %d ended before it had its samples: %s", number, why)
    return metrics


async def _synthesize(
    config: SynthesisConfig, rules: Rules, seeds: SeedSet, against: filter.ContaminationFilter, output: Path
) -> tuple[Synthesis, dict[str, Any], bool]:
    settings = config.synthesis
    dedup = TargetPoolProcess(settings.dedup, config.runtime.embed_workers)
    try:
        async with engine_for(config, output) as (engine, backend):
            can = backend.capabilities
            state = State(
                engine.traffic,
                settings.rounds,
                can.servers_out,
                servers=can.servers,
                in_flight=can.in_flight,
                health=(health := Health()),
            )
            with Progress(state, output) as progress:
                committee = Committee(engine, dedup, rules, backend.models, progress, output / SPOOL, against, health)
                result = await committee.run(seeds.seeds)
    finally:
        dedup.close()
    counts = {
        "asked": engine.traffic.requested,
        "replayed": engine.traffic.replayed,
        "waited": round(engine.traffic.seconds, 3),
        "gpu_seconds": can.gpu_seconds(),
        **can.account(),
    }
    if config.pool.by_turns:
        counts["loads_expected"] = _loads_expected(config)
    return result, counts, backend.simulated


def _loads_expected(config: SynthesisConfig) -> int:
    """Return the estimated model loads of an uninterrupted run; a resumed one needs fewer."""
    return estimate_loads(config.synthesis, len(config.pool.names), config.runtime.concurrency)
