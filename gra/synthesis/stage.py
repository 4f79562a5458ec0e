"""The synthesis stage: config + seeds -> a data folder (data/train.parquet, rejected.parquet, stats.json, README.md, journal).

Command: python -m gra.synthesis seeds.path=FILE pool=servers pool.base_url=URL 'pool.models=[a,b,c,d,e]' output=DIR
Killed at any moment, the same command goes on from the journal and ends with the same data.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gra import event_loop, labels
from gra.errors import ConfigError, Interrupted, Problem, SynthesisError
from gra.fileio import write_json
from gra.memory import peak_rss_bytes
from gra.models.base import Backend
from gra.models.pool import check_pool, cuts_thoughts, energy_of, model_names, parameters_of, served_as, takes_turns
from gra.models.preflight import pool_problems
from gra.settings import parse
from gra.synthesis import cost, price, prompts, screen, trial
from gra.synthesis.account import account_of_blindness, account_of_nothing
from gra.synthesis.benchmark_items import benchmark_files, check_sources, unreadable
from gra.synthesis.checks import SECTIONS, check
from gra.synthesis.committee import after_run, scales
from gra.synthesis.committee.health import Health
from gra.synthesis.conduct import JOURNAL, engine_for
from gra.synthesis.dataset import CardInfo, Writer
from gra.synthesis.decontaminate_settings import DecontaminateSettings
from gra.synthesis.embed import embedder_problems
from gra.synthesis.helper import Helper
from gra.synthesis.journal_read import calls_recorded, seconds_waited
from gra.synthesis.panel import Progress
from gra.synthesis.progress import State
from gra.synthesis.protocol import Rules
from gra.synthesis.remarks import troubles
from gra.synthesis.reuse import bought_again, kept, reuse
from gra.synthesis.rounds import Committee, Synthesis
from gra.synthesis.seeds import SeedSet, SeedSettings, load_seeds, report_bad, seed_files
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.stats import statistics
from gra.synthesis.swaps import estimate_swaps
from gra.synthesis.target import TargetProcess
from gra.wellformed import printable

NAME = "synthesis"
# 4: thin domains borrow, responses that are cut get room, rounds end by their pace, replies that copy the prompt are refused
VERSION = 4  # 3: more endings of replies are told; seeds are read record by record, without marks of reasoning or templates
INSIDE_INPUTS = {"seeds.path": "seeds"}  # a relative path lies in the input `seeds`, if there is one
# Where the models are served does not change what they say; the prompts' content is hashed, not the folder's name.
NOT_HASHED = (
    "pool.base_url", "pool.models.*.base_url", "pool.api_key_env", "pool.check_models", "pool.energy", "synthesis.prompts",
    "pool.serve", "pool.python", "pool.start_timeout_s", "pool.gpu_memory_utilization", "synthesis.decontaminate.data_dir",
    *(f"pool.models.*.weights.{key}" for key in ("hub", "packages", "licence", "file", "bytes")),
)  # fmt: skip
PRIVATE: Any = {"decontaminate": {"data_dir": True, "files": {"__all__": {"path"}}}}  # of the settings, not for the data card
__all__ = ["bought_again", "check", "external_files", "kept", "outlook", "preflight", "reuse", "run"]
SPOOL = "spool"  # folder inside the output for outcomes while the rounds run

log = logging.getLogger("gra.synthesis")


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Files whose content, not name, is part of what the stage makes: seeds, prompts in force, benchmarks compared with."""
    synthesis = config.get("synthesis") or {}
    files = {f"synthesis.prompts/{name}": path for name, path in prompts.sources(synthesis.get("prompts")).items()}
    seeds, _ = parse(SeedSettings, config.get("seeds") or {}, "seeds")
    rules, _ = parse(DecontaminateSettings, synthesis.get("decontaminate") or {})
    return files | (seed_files(seeds) if seeds is not None else {}) | (benchmark_files(rules) if rules is not None else {})


def outlook(
    config: dict[str, Any], inputs: dict[str, Path | None], own: Path | None, earlier: Sequence[Path]
) -> list[str]:
    """For `gra plan`: what the run will ask, and how often models are loaded. The config has been checked."""
    seeds = SeedSettings.model_validate(config["seeds"])
    count = trial.count(seeds, inputs)
    found = price.lines(config, count, [*([own] if own is not None else []), *earlier], own)
    if not takes_turns(config["pool"]):
        return found
    settings = SynthesisSettings.model_validate(config["synthesis"])
    concurrency = int(config["runtime"].get("concurrency", 64))
    expected, least = _loads_expected(settings, config), estimate_swaps(settings, len(config["pool"]["models"]), 10**9)
    line = f"models take turns: at most about {expected} loads, with {concurrency} samples under way (runtime.concurrency)"
    return [*found, line + (f"; more under way mean fewer, down to {least}" if least < expected else "")]


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """What would stop a run for reasons outside its config: seeds that cannot be used, models that no server lists, benchmark
    files that cannot be read, an embedder that cannot be had. What hangs on a fault that `check` tells is left out."""
    if any(section not in config for section in SECTIONS):
        return []
    problems = trial.problems(parse(SeedSettings, config["seeds"])[0], inputs)
    settings, _ = parse(SynthesisSettings, config["synthesis"])
    if settings is not None:
        if not check_sources(settings.decontaminate, inputs):
            problems += unreadable(settings.decontaminate, inputs.get("benchmarks"))
        problems += embedder_problems(settings.dedup.model)
    return problems + ([] if check_pool(config["pool"], config["runtime"]) else pool_problems(config["pool"]))


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Make the data folder. Raises ConfigError, SeedError, ServerError, StoreError, or SynthesisError with the account of
    where the proposals went where nothing could be kept."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    start = time.time()
    settings = SynthesisSettings.model_validate(config["synthesis"])
    seeds = load_seeds(SeedSettings.model_validate(config["seeds"]), config["seed"], inputs.get("seeds"))
    report_bad(seeds.bad, output)
    shutil.rmtree(output / SPOOL, ignore_errors=True)  # of a run that was killed; the journal has all that is needed
    probe = after_run.read_probe(inputs.get("probe"))
    pool = config["pool"]
    maps = scales.scales_for(settings, model_names(pool), inputs.get("probe"))
    rules = Rules(config["seed"], settings, served_as(pool), thoughts=cuts_thoughts(pool), scales=maps)
    with closing(screen.build(settings.decontaminate, inputs.get("benchmarks"))) as against:
        return _make(config, rules, inputs.get("seeds"), seeds, against, probe, output, start)


def _make(
    config: dict[str, Any], rules: Rules, place: Path | None, seeds: SeedSet, against: screen.Screen,
    probe: dict[str, Any] | None, output: Path, start: float,
) -> dict[str, float]:  # fmt: skip
    """Run the rounds and write the folder; `place`: the folder of the input `seeds`; `probe`: what that of the committee found."""
    settings = rules.settings
    try:
        result, traffic, simulated = event_loop.run(_synthesize(config, rules, seeds, against, output))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once: what was recorded is kept; the same command goes on from there") from None
    files = seed_files(SeedSettings.model_validate(config["seeds"])).values()
    simulated = simulated or labels.simulated([place, *files])  # real models on the simulated world's seeds are simulated too
    stats = statistics(result.kept, result.rejected, settings=settings, seed_calls=result.seeds.calls, simulated=simulated)
    stats["seeds"] = {
        **seeds.statistics(),
        "annotated": len(result.seeds.records), "annotation_missing": len(result.seeds.failed),
    }  # fmt: skip
    stats["short_rounds"] = result.short
    stats["thin_domains"] = result.thin
    stats["decontamination"] = against.statement
    if probe is not None:
        stats["probe"] = after_run.estimate(probe, stats)
    if (calibration := scales.account(settings, model_names(config["pool"]), rules.scales)) is not None:
        stats["calibration"] = calibration
    stats["cost"] = cost.account(stats["tokens"], stats["kept"], parameters_of(config["pool"]))
    card = CardInfo(
        seeds_name=seeds.name, seeds_account=seeds.account(), license=seeds.license, models=tuple(model_names(config["pool"])),
        settings=settings.model_dump(mode="json", exclude=PRIVATE), seed=config["seed"], simulated=simulated,
        prompts_hash=prompts.digest(settings.prompts), decontamination=against.statement,
    )  # fmt: skip
    write_json(output / "decontamination.json", against.report(result.rejected))
    with closing(Helper("data set writing", "about 200 MB", Writer)) as writer:
        writer.call("write", output, result.kept, result.rejected, stats, card).result()
    spent = cost.timed(
        seconds_waited(output / JOURNAL), stats["kept"], flops=stats["cost"]["flops"],
        gpu_seconds=traffic.pop("gpu_seconds"), whole=traffic["replayed"] == 0, energy=energy_of(config["pool"]),
    )  # fmt: skip
    vain = cost.in_vain(calls_recorded(output / JOURNAL), stats["tokens"])
    peak = peak_rss_bytes()
    run = {
        "seconds": round(time.time() - start, 3), "peak_rss_mb": None if peak is None else round(peak / 2**20, 1), **traffic,
        "cost": spent, "in_vain": vain,
    }  # fmt: skip
    write_json(output / "run.json", run)
    if result.blind:
        raise SynthesisError(account_of_blindness(result.blind, output, stats))
    if not result.kept:
        raise SynthesisError(account_of_nothing(result, output, stats))
    shutil.rmtree(output / SPOOL)
    _tell(stats, vain)
    why = "max_proposals were made" if settings.max_proposals else "at its pace 20 proposals a sample would not have filled it"
    for number in result.short:
        log.warning("round %d ended before it had its samples: %s", number, why)
    return {key: float(stats[key]) for key in ("proposals", "kept", "calls", "missing_verdicts")}


def _tell(stats: dict[str, Any], vain: dict[str, Any]) -> None:
    """On the terminal: models of little use, and what was paid for nothing."""
    if without := (stats.get("calibration") or {}).get("without_map"):
        log.warning("calibrate=probe: the probe has no map for %s; its scores are left as they are", printable(", ".join(without)))
    for text in troubles(stats["replies"], stats["refused"]):
        log.warning("model %s", printable(text))
    if vain["calls"]:
        log.warning("paid beside the data's %d calls: %s (run.json, in_vain)", stats["calls"], cost.in_vain_in_words(vain))


async def _synthesize(
    config: dict[str, Any], rules: Rules, seeds: SeedSet, against: screen.Screen, output: Path
) -> tuple[Synthesis, dict[str, Any], bool]:
    pool, runtime, settings = config["pool"], config["runtime"], rules.settings
    dedup = TargetProcess(settings.dedup, runtime)
    try:
        async with engine_for(config, output) as (engine, backend):
            state = State(
                engine.traffic, settings.rounds, _offered(backend, "servers_out"),
                servers=_offered(backend, "servers"), in_flight=_offered(backend, "in_flight"), health=(health := Health()),
            )  # fmt: skip
            with Progress(state, output) as progress:
                committee = Committee(engine, dedup, rules, backend.models, progress, output / SPOOL, against, health)
                result = await committee.run(seeds.seeds)
    finally:
        dedup.close()
    counts = {
        "asked": engine.traffic.asked, "replayed": engine.traffic.replayed, "waited": round(engine.traffic.seconds, 3),
        "gpu_seconds": served() if (served := _offered(backend, "gpu_seconds")) else None,
    }  # fmt: skip
    if (account := _offered(backend, "account")) is not None:
        counts |= account()
    if takes_turns(pool):
        counts["loads_expected"] = _loads_expected(settings, config)
    return result, counts, backend.simulated


def _offered(backend: Backend, method: str) -> Callable[[], Any] | None:
    """A method that backends may have beside the protocol; data of that name in somebody's own backend are something else."""
    found = getattr(backend, method, None)
    return found if callable(found) else None


def _loads_expected(settings: SynthesisSettings, config: dict[str, Any]) -> int:
    """Of an unbroken run: one that goes on from a journal needs fewer."""
    return estimate_swaps(settings, len(config["pool"]["models"]), int(config["runtime"].get("concurrency", 64)))
