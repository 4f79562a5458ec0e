"""The probe as a stage: config + seeds -> probe.json, probe.md and a journal: can these models judge, before they are paid for it?

Command: gra probe pool=... seeds=... output=DIR. In a chain it is the input `probe` of the synthesis. With `synthesis.probe=off`
(the default of simulated pools) it asks nothing and says so in probe.json. Killed at any moment, the same command goes on from the
journal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from gra import event_loop, labels
from gra.errors import ConfigError, Interrupted, Problem, SynthesisError
from gra.fileio import write_json, write_text
from gra.models.pool import settings_of
from gra.settings import parse
from gra.synthesis import checks, stage
from gra.synthesis.committee.after_run import FORMAT
from gra.synthesis.committee.probe_settings import ProbeSettings, load_sources, mode, source_named
from gra.synthesis.reuse import bought_again, kept, reuse
from gra.synthesis.seeds import SeedSettings, load_seeds, report_bad, seed_files
from gra.synthesis.settings import SynthesisSettings
from gra.wellformed import printable

NAME = "probe"
VERSION = 2  # 2: severity is above 0 where a reviewer is harsh, as in the health of a run
INSIDE_INPUTS = stage.INSIDE_INPUTS
# What a probe does not depend on: how many samples the run makes, of what, and what becomes of them later.
NOT_HASHED = (
    *stage.NOT_HASHED, "synthesis.rounds", "synthesis.samples_per_round", "synthesis.max_proposals", "synthesis.demonstrations",
    "synthesis.taken", "synthesis.thin_domain", "synthesis.long_answers", "synthesis.check", "synthesis.dedup",
    "synthesis.decontaminate", "synthesis.domains", "synthesis.shots", "synthesis.show",
)  # fmt: skip
RESULT, TABLE = "probe.json", "probe.md"
__all__ = ["bought_again", "check", "external_files", "kept", "preflight", "reuse", "run"]

log = logging.getLogger("gra.synthesis")


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """The prompts in force and the seeds."""
    return stage.external_files(_of_synthesis(config))


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """The faults of the groups that the probe shares with the synthesis, and its own."""
    problems = [p for p in checks.check(_of_synthesis(config), inputs) if p.key != "synthesis.reviewers"]
    if "probe" not in config:
        return [*problems, Problem("probe", "required, but not set", "set probe")]
    probe, faults = parse(ProbeSettings, config["probe"], "probe")
    problems += faults
    for place, spec in enumerate(probe.sources if probe is not None else ()):
        try:
            source_named(spec, place)
        except ConfigError as error:
            problems += error.problems
    return problems


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Seeds that cannot be used, and models that no server lists; nothing where the probe is off."""
    settings, _ = parse(SynthesisSettings, config.get("synthesis"))
    if settings is None or mode(settings, config.get("pool") or {}) == "off":
        return []
    return [p for p in stage.preflight(_of_synthesis(config), inputs) if not p.key.startswith("synthesis.")]


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Ask, and write probe.json and probe.md. Raises ConfigError, SeedError, ServerError, StoreError, and SynthesisError where the
    committee fails and `synthesis.probe` is refuse."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = SynthesisSettings.model_validate(config["synthesis"])
    does = mode(settings, config["pool"])
    if does == "off":
        found: dict[str, Any] = {"version": FORMAT, "off": True, "faults": [], "words": [], "items": {}, "models": {}, "gate": None}
        _write(output, found, settings.tau)
        return {"calls": 0.0}
    found = _probe(config, settings, inputs.get("seeds"), output)
    for name, model in found["models"].items():
        if model["auc"] is not None and model["auc"]["low"] <= 0.5:
            log.warning("probe: %s", printable(model["words"][0] if model["words"] else name))
    for fault in found["faults"]:
        log.warning("probe: %s", printable(fault))
    if found["faults"] and does == "refuse":
        listed = "\n    ".join(found["faults"])
        remedy = f"change the pool, or synthesis.scoring; synthesis.probe=warn runs it all the same; details: {output / TABLE}"
        raise SynthesisError(f"the committee fails its probe (synthesis.probe=refuse):\n    {listed}\n    -> {remedy}")
    return {"calls": float(found["calls"]), "faults": float(len(found["faults"]))}


def _probe(config: dict[str, Any], settings: SynthesisSettings, place: Path | None, output: Path) -> dict[str, Any]:
    from gra.synthesis.committee import probe_run, qualify

    start = time.time()
    probe = ProbeSettings.model_validate(config["probe"])
    seeds = load_seeds(SeedSettings.model_validate(config["seeds"]), config["seed"], place)
    report_bad(seeds.bad, output)
    known = load_sources(probe, seeds.seeds)
    try:
        asked = event_loop.run(probe_run.ask(config, settings, probe, seeds.seeds, known, output))
    except asyncio.CancelledError:
        raise Interrupted("stopped at once: what was recorded is kept; the same command goes on from there") from None
    served = _served(config["pool"])
    calibrated = settings.calibrate == "probe"
    found = qualify.data(qualify.qualify(asked.items, asked.judged, served, settings, calibrated))
    found |= {"scoring": settings.scoring, "questions": settings.questions}
    spent = _tokens(asked.calls)
    for model, entry in found["models"].items():
        entry |= {"unanswered": asked.unanswered.get(model, 0), **spent.get(model, {"calls": 0})}
    files = seed_files(SeedSettings.model_validate(config["seeds"])).values()
    simulated = asked.simulated or labels.simulated([place, *files])
    found |= {"calls": len(asked.calls), "known_questions": len(known), "simulated": simulated, "tau": settings.tau}
    _write(output, found, settings.tau)
    if simulated:
        write_text(output / "SIMULATED", "made by simulated models, or on seeds of a simulated world\n")
    write_json(output / "run.json", {"seconds": round(time.time() - start, 3), **asked.traffic})
    return found


def _write(output: Path, found: dict[str, Any], tau: float) -> None:
    from gra.synthesis.committee.probe_table import brief, text

    write_json(output / RESULT, found)
    write_text(output / TABLE, text(found, tau))
    write_text(output / "probe.txt", brief(found, tau))


def _of_synthesis(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a synthesis by these models, as far as it matters to them: no benchmarks, no calibration."""
    found = {key: value for key, value in config.items() if key != "probe"}
    if isinstance(found.get("synthesis"), dict):
        found["synthesis"] = {**found["synthesis"], "decontaminate": {"enabled": False}, "calibrate": "none"}
    return found


def _served(pool: dict[str, Any]) -> dict[str, str]:
    """By name what serves it: its id tells the family."""
    settings = settings_of(pool)
    if settings is None:
        raise ConfigError([Problem("pool", "cannot be read", "see gra probe --help")])
    return {model.name: model.served for model in settings.models}


def _tokens(calls: list[Any]) -> dict[str, dict[str, Any]]:
    """By model: calls, and tokens in and out of those whose server told them."""
    found: dict[str, dict[str, Any]] = {}
    for call in calls:
        entry = found.setdefault(call.model, {"calls": 0, "tokens_in": 0, "tokens_out": 0, "tokens_unknown": 0})
        entry["calls"] += 1
        if call.tokens_in is None or call.tokens_out is None:
            entry["tokens_unknown"] += 1
        else:
            entry["tokens_in"] += call.tokens_in
            entry["tokens_out"] += call.tokens_out
    return found
