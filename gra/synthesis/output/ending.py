"""Ends a run that called models: writes run.json, reports what went wrong, logs to W&B, and removes the temporary files
that hold the outcomes."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from gra.errors import NothingKept, SynthesisError
from gra.fileio import write_json
from gra.memory import peak_rss_bytes
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.engine import spool
from gra.synthesis.engine.journal_read import calls_recorded, seconds_waited
from gra.synthesis.engine.session import JOURNAL
from gra.synthesis.output import cost, tracking
from gra.synthesis.output.failure_report import blind_committee, judged, nothing_kept
from gra.synthesis.replies.remarks import troubles
from gra.synthesis.rounds import Synthesis
from gra.wellformed import printable

SPOOL = "spool"  # folder in the output for outcomes while the run lasts

log = logging.getLogger("gra.synthesis")


def finish(
    config: SynthesisConfig,
    output: Path,
    result: Synthesis,
    stats: dict[str, Any],
    traffic: dict[str, Any],
    start: float,
    place: Path | None = None,
) -> dict[str, float]:
    """Write run.json, log the run to W&B and return the run's metrics. `place`: the folder of the run's input `seeds`,
    or None if it has no such input.

    Raises SynthesisError if the run ended early because the reviews carried no information (setting
    `synthesis.stop_when_blind`). If no sample was kept, raises NothingKept. If, in addition, the committee did not
    judge a single proposal, raises SynthesisError instead.
    """
    spent = cost.timed(
        seconds_waited(output / JOURNAL),
        stats["kept"],
        flops=stats["cost"]["flops"],
        gpu_seconds=traffic.pop("gpu_seconds"),
        whole=traffic["replayed"] == 0,
        energy=config.pool.settings.energy,
    )
    vain = cost.in_vain(calls_recorded(output / JOURNAL), stats["tokens"])
    peak = peak_rss_bytes()
    run = {
        "seconds": round(time.time() - start, 3),
        "peak_rss_mb": None if peak is None else round(peak / 2**20, 1),
        **traffic,
        "cost": spent,
        "in_vain": vain,
    }
    write_json(output / "run.json", run)
    if result.blind:
        raise SynthesisError(blind_committee(result.blind, output, stats))
    if not result.kept:
        # without a judgement the fault is not the committee's: the server, the form of its replies or the seeds
        error = NothingKept if judged(result) else SynthesisError
        raise error(nothing_kept(result, output, stats))
    tracking.record(config, output, place, result, stats, run)
    spool.clear(output / SPOOL)
    _warn(stats, vain)
    return {key: float(stats[key]) for key in ("proposals", "kept", "calls", "missing_verdicts")}


def _warn(stats: dict[str, Any], vain: dict[str, Any]) -> None:
    """Log reviewers without a calibration map, models with many unusable replies, and calls that were made in vain."""
    if without := (stats.get("calibration") or {}).get("without_map"):
        log.warning(
            "calibrate=probe: the probe has no map for %s; their scores stay as given", printable(", ".join(without))
        )
    for text in troubles(stats["replies"], stats["refused"]):
        log.warning("model %s", printable(text))
    if vain["calls"]:
        log.warning(
            "paid beyond the %d calls of the data: %s (run.json, in_vain)", stats["calls"], cost.in_vain_in_words(vain)
        )
