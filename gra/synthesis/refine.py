"""Runs the stage `refine`: a committee improves or filters an existing data set. The result is a data folder like that
of a synthesis.

Command: gra refine data=FILE pool=servers pool.base_url=URL 'pool.models=[a,b,c,d,e]' output=DIR

Each record's response is rewritten, written anew from the instruction alone, or left as it is (refine.write). With
synthesis.review, the committee checks the instruction, and scores and adjudicates the response, as in a synthesis. If
the run is killed, the same command resumes it.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from gra import event_loop, labels
from gra.errors import STOPPED_AT_ONCE, ConfigError, Interrupted, Problem
from gra.models import identity
from gra.models.pool import check_pool
from gra.models.preflight import pool_problems
from gra.outlook import Outlook, Upstream
from gra.settings import parse
from gra.synthesis import checks, prompts
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.health import Health
from gra.synthesis.config import SynthesisConfig, parsed, served
from gra.synthesis.decontamination import filter
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import benchmark_files, check_sources, unreadable
from gra.synthesis.engine.reuse import kept, reuse
from gra.synthesis.engine.session import engine_for
from gra.synthesis.output.before import before
from gra.synthesis.output.ending import SPOOL, finish
from gra.synthesis.output.folder import PRIVATE, Material
from gra.synthesis.probe import after_run
from gra.synthesis.progress.state import State
from gra.synthesis.progress.terminal import Progress
from gra.synthesis.refining import price
from gra.synthesis.refining.run import Refinery
from gra.synthesis.refining.settings import WITHOUT_EFFECT, RefineSettings, committee
from gra.synthesis.refining.source import data_folder, source
from gra.synthesis.rounds import Synthesis
from gra.synthesis.run_rules import describe_filter, rules_of
from gra.synthesis.seed_only import ADDED_LATER as SEEDS_ADDED_LATER
from gra.synthesis.seeds import trial
from gra.synthesis.seeds.load import SeedSettings, load_seeds, report_bad, seed_files, warn_of_foreign_seeds
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.task_filter import label_files

NAME = "refine"
VERSION = 1
INSIDE_INPUTS = {"seeds.path": "seeds"}  # a relative path is inside the input `seeds`, if there is one
ADDED_LATER = {
    **SEEDS_ADDED_LATER,
    "synthesis.slots": "keep",
    "synthesis.checkers": None,
    "synthesis.check_scoring": None,
    "synthesis.task_threshold": 0.85,
}
NOT_HASHED = (
    *(*identity.NOT_HASHED, "synthesis.prompts", "synthesis.task_labels", "synthesis.decontaminate.data_dir"),
    *(f"synthesis.{key}" for key in WITHOUT_EFFECT),
)
__all__ = ["check", "external_files", "kept", "outlook", "preflight", "reuse", "run", "served"]
METHOD = {
    "rewrite": "A generator drawn from the pool for each record rewrote its response.",
    "answer": "A generator drawn from the pool for each record answered its instruction, without seeing the response it had.",
    "keep": "No response was changed.",
}
REVIEWED = (
    " Reviewers checked the instruction and scored the response; where they disagreed, the adjudicator decided "
    "(GRA, arXiv 2504.12322)."
)

log = logging.getLogger("gra.synthesis")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config that can be found without reading data. They concern the settings of the
    synthesis and the group `refine`."""
    if "refine" not in config:
        problem = Problem("refine", "required, but not set", "set refine, e.g. refine.write=rewrite")
        return [problem, *checks.check(config, inputs)]
    synthesis = {key: value for key, value in config.items() if key != "refine"}
    problems = checks.check(_with_columns(synthesis, inputs), inputs)
    refine, faults = parse(RefineSettings, config["refine"], "refine")
    problems += faults
    settings, _ = parse(SynthesisSettings, config.get("synthesis") or {})
    if refine is not None and settings is not None:
        problems += _combinations(refine, settings)
    return problems


def _combinations(refine: RefineSettings, settings: SynthesisSettings) -> list[Problem]:
    problems = []
    if refine.write == "keep" and not settings.review:
        remedy = "set synthesis.review=true, or refine.write=rewrite or answer"
        problems.append(
            Problem("refine.write", "keep, but synthesis.review=false: nothing would be written or reviewed", remedy)
        )
    if refine.write == "keep" and refine.answers > 1:
        message = f"{refine.answers} answers, but nothing is written (refine.write=keep)"
        problems.append(Problem("refine.answers", message, "set refine.answers=1, or refine.write=answer"))
    if refine.choose == "best" and refine.answers > 1 and not settings.review:
        message = f"the best of {refine.answers} answers is chosen by their reviews, and synthesis.review is false"
        problems.append(Problem("refine.choose", message, "set synthesis.review=true, or refine.choose=vote or first"))
    if refine.choose == "vote" and refine.answers < 3:
        message = f"a vote needs 3 answers or more (got {refine.answers})"
        problems.append(Problem("refine.answers", message, "set refine.answers=5, or refine.choose=best"))
    return problems


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return the files outside the config whose content decides the output: the data set, the prompts in use, the
    labels of instructions, and the benchmarks for decontamination."""
    synthesis = config.get("synthesis") or {}
    used = prompts.sources(synthesis.get("prompts"), (prompts.REWRITE,))
    files = {f"synthesis.prompts/{name}": path for name, path in used.items() if name not in prompts.OF_PROPOSALS}
    seeds, _ = parse(SeedSettings, config.get("seeds") or {}, "seeds")
    rules, _ = parse(DecontaminateSettings, synthesis.get("decontaminate") or {})
    files |= label_files.files(synthesis.get("task_labels")) | (seed_files(seeds) if seeds is not None else {})
    return files | (benchmark_files(rules) if rules is not None else {})


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the problems outside the config that would stop a run: unusable records, models that no server lists, and
    unreadable benchmark files. If the function `check` finds a fault in a section of the config, the files or servers
    that this section names are not examined here."""
    if any(section not in config for section in checks.SECTIONS):
        return []
    seeds, _ = parse(SeedSettings, config["seeds"])
    problems = trial.problems(None if seeds is None else source(seeds, inputs.get("seeds")), inputs)
    settings, _ = parse(SynthesisSettings, config["synthesis"])
    if settings is not None and not check_sources(settings.decontaminate, inputs):
        problems += unreadable(settings.decontaminate, inputs.get("benchmarks"))
    problems += label_files.problems(None if settings is None else settings.task_labels)
    return problems + ([] if check_pool(config["pool"], config["runtime"]) else pool_problems(config["pool"]))


def outlook(
    config: dict[str, Any],
    inputs: dict[str, Path | None],
    own: Path | None,
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,  # noqa: ARG001
) -> Outlook:
    """Return the estimated calls of the run, for `gra plan`. The config must have passed `check`."""
    refine = RefineSettings.model_validate(config["refine"])
    given = _parsed(config, inputs)
    seeds = given.seeds
    count, limit = trial.count(seeds, inputs), seeds.limit
    records = limit if count is None else count if limit is None else min(count, limit)
    return price.outlook(refine, given.synthesis, given.pool, records, own, annotated=bool(seeds.columns.domain))


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Refine the data set and write the data folder. Raises ConfigError, SeedError, ServerError or StoreError if the
    run cannot be completed. A run that kept no sample raises NothingKept, or SynthesisError if the committee judged no
    sample."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    start = time.time()
    refine = RefineSettings.model_validate(config["refine"])
    given = _parsed(config, inputs)
    settings = given.synthesis
    seeds = load_seeds(given.seeds, given.seed, inputs.get("seeds"))
    report_bad(seeds.bad, output)
    warn_of_foreign_seeds(given.seeds, inputs.get("seeds"), given.pool.settings.simulated)
    shutil.rmtree(output / SPOOL, ignore_errors=True)  # left by a killed run; the journal holds all that is needed
    rules = rules_of(given, inputs.get("probe"))
    describe_filter(rules.tasks)
    with closing(filter.build(settings.decontaminate, inputs.get("benchmarks"))) as against:
        try:
            result, traffic, simulated = event_loop.run(_refine(given, refine, rules, seeds.seeds, against, output))
        except asyncio.CancelledError:
            raise Interrupted(STOPPED_AT_ONCE) from None
        simulated = simulated or labels.simulated([inputs.get("seeds"), *seed_files(given.seeds).values()])
        material = Material(given, rules, seeds, against, _card(refine, settings))
        stats = material.statistics(result, simulated, after_run.read_probe(inputs.get("probe")))
        if (folder := data_folder(given.seeds, inputs.get("seeds"))) is not None:
            stats["before"] = before([folder])
        material.write(output, result, stats)
    metrics = finish(given, output, result, stats, traffic, start, inputs.get("seeds"))
    if result.short:
        log.warning("all %d records are used, and only %d samples were kept", len(seeds.seeds), stats["kept"])
    return metrics


def _parsed(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> SynthesisConfig:
    """Return the parsed config. If it names a data folder of this project, it gets the columns of that folder."""
    given = parsed(config)
    return replace(given, seeds=source(given.seeds, inputs.get("seeds")))


async def _refine(
    config: SynthesisConfig,
    refine: RefineSettings,
    rules: Rules,
    seeds: Sequence[Any],
    against: filter.ContaminationFilter,
    output: Path,
) -> tuple[Synthesis, dict[str, Any], bool]:
    async with engine_for(config, output) as (engine, backend):
        can, health = backend.capabilities, Health()
        state = State(engine.traffic, 1, can.servers_out, servers=can.servers, in_flight=can.in_flight, health=health)
        with Progress(state, output) as progress:
            refinery = Refinery(engine, refine, rules, backend.models, progress, output / SPOOL, against, health)
            result = await refinery.run(seeds)
    traffic = engine.traffic
    counts = {
        "asked": traffic.requested,
        "replayed": traffic.replayed,
        "waited": round(traffic.seconds, 3),
        "gpu_seconds": can.gpu_seconds(),
        **can.account(),
    }
    return result, counts, backend.simulated


def _card(refine: RefineSettings, settings: SynthesisSettings) -> dict[str, Any]:
    """Return what the data card says about this stage."""
    several = (
        ""
        if refine.answers == 1
        else f" Of up to {refine.answers} responses to an instruction one was kept (refine.choose={refine.choose})."
    )
    shown = settings.model_dump(mode="json", exclude=PRIVATE)
    return {
        "title": "Instruction data refined by language models",
        "method": METHOD[refine.write] + _judged(refine, settings) + several,
        "settings": {**committee(shown), "refine": refine.model_dump(mode="json")},
        "prompts_hash": prompts.digest(settings.prompts, (prompts.REWRITE,)),
    }


def _judged(refine: RefineSettings, settings: SynthesisSettings) -> str:
    if settings.review:
        return REVIEWED
    checked = f" The instruction was checked by {' and '.join(settings.checkers)}." if settings.checkers else ""
    return (checked if refine.check else "") + " No response was reviewed."


def _with_columns(config: dict[str, Any], inputs: dict[str, Path | None]) -> dict[str, Any]:
    """Return the unparsed config. If it names a data folder of this project, it gets the columns of that folder."""
    seeds, _ = parse(SeedSettings, config.get("seeds") or {})
    if seeds is None:
        return config
    known = source(seeds, inputs.get("seeds"))
    return config if known is seeds else {**config, "seeds": known.model_dump(mode="json")}
