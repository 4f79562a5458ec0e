"""Runs the stage `probe`: measures whether a pool's models can judge answers, before a synthesis is paid for. Writes
probe.json and probe.md.

Command: gra probe pool=... seeds=... output=DIR. In a chain its result is the input `probe` of the synthesis. With
`synthesis.probe=off` (the default for simulated pools) it makes no calls, and probe.json says so. If the probe is
killed, the same command resumes it from the journal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra import event_loop, labels
from gra.errors import STOPPED_AT_ONCE, ConfigError, Interrupted, Problem, SynthesisError
from gra.fileio import write_json, write_text
from gra.outlook import Cost, Outlook, Upstream
from gra.server_jobs import Served
from gra.settings import parse
from gra.synthesis import checks, stage
from gra.synthesis.config import SynthesisConfig, parsed
from gra.synthesis.config import served as served_apart
from gra.synthesis.engine.reuse import bought_again, kept, reuse
from gra.synthesis.output import price
from gra.synthesis.probe.result import FORMAT
from gra.synthesis.probe.settings import Mode, ProbeSettings, load_sources, mode, source_named
from gra.synthesis.seeds.load import load_seeds, report_bad, seed_files, warn_of_foreign_seeds
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.task_filter import label_files
from gra.wellformed import printable

NAME = "probe"
VERSION = 2  # 2: severity is above 0 for harsh reviewers, as in the health of a run
ADDED_LATER = stage.ADDED_LATER
INSIDE_INPUTS = stage.INSIDE_INPUTS
# A probe does not depend on the number of samples, the records that prompts show, or what happens after the gate.
NOT_HASHED = (
    *stage.NOT_HASHED,
    "synthesis.rounds",
    "synthesis.samples_per_round",
    "synthesis.max_proposals",
    "synthesis.demonstrations",
    "synthesis.taken",
    "synthesis.thin_domain",
    "synthesis.long_answers",
    "synthesis.slots",
    "synthesis.check",
    "synthesis.checkers",
    "synthesis.check_scoring",
    "synthesis.task_threshold",
    "synthesis.dedup",
    "synthesis.decontaminate",
    "synthesis.domains",
    "synthesis.shots",
    "synthesis.show",
)
WITHOUT_A_RUN = ("synthesis.reviewers", "synthesis.calibrate")  # faults of these keys do not concern a probe
RESULT, TABLE = "probe.json", "probe.md"
__all__ = ["bought_again", "check", "external_files", "kept", "preflight", "reuse", "run", "served"]

log = logging.getLogger("gra.synthesis")


def external_files(config: dict[str, Any]) -> dict[str, Path]:
    """Return the files outside the config that decide the result: the prompts in use and the seeds."""
    files = stage.external_files(_of_synthesis(config))
    return {key: path for key, path in files.items() if not key.startswith(label_files.KEY)}


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the probe's config, including those of the config groups that it shares with the
    synthesis."""
    problems = [p for p in checks.check(_of_synthesis(config), inputs) if p.key not in WITHOUT_A_RUN]
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


def served(config: dict[str, Any]) -> Served | None:
    """Return the models whose servers can run as separate jobs. Return None if there are none, or if the probe is
    off."""
    settings = SynthesisSettings.model_validate(config["synthesis"])
    return None if _mode(settings, config) == "off" else served_apart(config)


def outlook(
    config: dict[str, Any],
    inputs: dict[str, Path | None],  # noqa: ARG001
    own: Path | None,
    earlier: Sequence[Path],  # noqa: ARG001
    upstream: Upstream,  # noqa: ARG001
) -> Outlook:
    """Return the estimated calls of the probe, for `gra plan`. The config must have passed `check`."""
    given = parsed(_of_synthesis(config))
    if _mode(given.synthesis, config) == "off":
        return Outlook(["off: it makes no calls (synthesis.probe)"], Cost())
    calls = float(ProbeSettings.model_validate(config["probe"]).calls)
    return price.of_probe(given, calls, own)


def preflight(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the problems that lie outside the config: unusable seeds, and models that no server lists. If the probe is
    off, the list is empty."""
    settings, _ = parse(SynthesisSettings, config.get("synthesis"))
    if settings is None or _mode(settings, config) == "off":
        return []
    return [p for p in stage.preflight(_of_synthesis(config), inputs) if not p.key.startswith("synthesis.")]


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Make the calls of the probe and write probe.json and probe.md. Raises ConfigError, SeedError, ServerError or
    StoreError if the probe cannot run. Raises SynthesisError if the committee fails the probe and
    synthesis.probe=refuse."""
    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = SynthesisSettings.model_validate(config["synthesis"])
    effect = _mode(settings, config)
    if effect == "off":
        found: dict[str, Any] = {
            "version": FORMAT,
            "off": True,
            "faults": [],
            "words": [],
            "items": {},
            "models": {},
            "gate": None,
        }
        _write(output, found, settings.tau)
        return {"calls": 0.0}
    given = parsed(config)
    warn_of_foreign_seeds(given.seeds, inputs.get("seeds"), given.pool.settings.simulated)
    found = _probe(given, ProbeSettings.model_validate(config["probe"]), inputs.get("seeds"), output)
    for name, model in found["models"].items():
        if model["auc"] is not None and model["auc"]["low"] <= 0.5:
            log.warning("probe: %s", printable(model["words"][0] if model["words"] else name))
    for fault in found["faults"]:
        log.warning("probe: %s", printable(fault))
    if found["faults"] and effect == "refuse":
        listed = "\n    ".join(found["faults"])
        remedy = f"change the pool or synthesis.scoring, or set synthesis.probe=warn to run anyway; details: {output / TABLE}"
        raise SynthesisError(f"the committee fails its probe (synthesis.probe=refuse):\n    {listed}\n    -> {remedy}")
    return {"calls": float(found["calls"]), "faults": float(len(found["faults"]))}


def _mode(settings: SynthesisSettings, config: dict[str, Any]) -> Mode:
    return mode(settings, simulated=bool((config.get("pool") or {}).get("simulated")))


def _probe(config: SynthesisConfig, probe: ProbeSettings, place: Path | None, output: Path) -> dict[str, Any]:
    from gra.synthesis.probe import result
    from gra.synthesis.probe import run as probe_run

    start = time.time()
    settings = config.synthesis
    seeds = load_seeds(config.seeds, config.seed, place)
    report_bad(seeds.bad, output)
    known = load_sources(probe, seeds.seeds)
    try:
        findings = event_loop.run(probe_run.ask(config, probe, seeds.seeds, known, output))
    except asyncio.CancelledError:
        raise Interrupted(STOPPED_AT_ONCE) from None
    served = {model.name: model.served for model in config.pool.settings.models}  # a served id shows the family
    calibrated = settings.calibrate == "probe"
    found = result.data(result.qualify(findings.items, findings.judged, served, settings, calibrated))
    found |= {"scoring": settings.scoring, "questions": settings.questions, "calibrate": settings.calibrate}
    spent = _tokens(findings.calls)
    for model, entry in found["models"].items():
        entry |= {"unanswered": findings.unanswered.get(model, 0), **spent.get(model, {"calls": 0})}
    files = seed_files(config.seeds).values()
    simulated = findings.simulated or labels.simulated([place, *files])
    found |= {"calls": len(findings.calls), "known_questions": len(known), "simulated": simulated, "tau": settings.tau}
    _write(output, found, settings.tau)
    if simulated:
        write_text(output / "SIMULATED", "made by simulated models, or on seeds of a simulated world\n")
    write_json(output / "run.json", {"seconds": round(time.time() - start, 3), **findings.traffic})
    return found


def _write(output: Path, found: dict[str, Any], tau: float) -> None:
    from gra.synthesis.probe.table import brief, text

    write_json(output / RESULT, found)
    write_text(output / TABLE, text(found, tau))
    write_text(output / "probe.txt", brief(found, tau))


def _of_synthesis(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the synthesis, without benchmarks and calibration, which a probe does not need."""
    found = {key: value for key, value in config.items() if key != "probe"}
    if isinstance(found.get("synthesis"), dict):
        found["synthesis"] = {**found["synthesis"], "decontaminate": {"enabled": False}, "calibrate": "none"}
    return found


def _tokens(calls: list[Any]) -> dict[str, dict[str, Any]]:
    """Return, for each model, the number of its calls, the sums of the tokens that its server reported, and the number
    of calls for which the server reported none (`tokens_unknown`)."""
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
