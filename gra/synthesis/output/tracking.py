"""Logs a finished synthesis to W&B (gra/tracking.py): curves over its proposals (how many were kept or dropped at each
stage, and how far the reviewers agreed), its final numbers as summary, a table of its rounds, the seeds as an input
artifact and the data as an output artifact (gra/tracked_files.py).

Nearly everything comes from the outcomes and stats.json, so a run that was killed and resumed logs the same as an
uninterrupted run. Only times, speeds and energy come from run.json; they describe only the last start of the run.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gra import tracked_files
from gra.reasons import REASONS
from gra.synthesis.committee.gate import passed_gate
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import Outcome
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.engine.sharding import SHARDS
from gra.synthesis.output.folder import PRIVATE
from gra.synthesis.rounds import Synthesis
from gra.synthesis.seeds.folders import TRAIN
from gra.synthesis.seeds.settings import resolve
from gra.tracking import Run

POINTS = 200  # approximate maximum of rows of the curve
COUNTS = (
    *("proposals", "instruction_rejected", "rejected", "accepted", "adjudicated", "adjudicated_kept", "contaminated"),
    *("duplicates", "surplus", "kept", "missing_verdicts", "calls", "unusable_replies"),
)
RATES = {  # rate -> the counts that are its numerator and denominator
    "keep_rate": ("kept", "proposals"),
    "acceptance_rate": ("accepted", "proposals"),
    "adjudication_rate": ("adjudicated", "proposals"),
    "unusable_rate": ("unusable_replies", "calls"),
}
AGREEMENT = ("krippendorff_alpha", "low_std_share")
ROUND_COLUMNS = ("round", *COUNTS, *RATES, *AGREEMENT)


def record(
    config: SynthesisConfig,
    output: Path,
    place: Path | None,
    result: Synthesis,
    stats: Mapping[str, Any],
    run: Mapping[str, Any],
) -> None:
    """Send a finished synthesis to W&B if `runtime.tracking` is on. If W&B fails, no error is raised. If the synthesis
    is split into shards, the merge of a single round's shards (sharding.py) is not logged, because it is only a part of
    a run.

    `place`: the folder of the input `seeds`, or None. `stats`, `run`: the content of stats.json and run.json.
    """
    tracking = config.runtime.tracking
    if tracking.mode == "none" or output.parent.name.endswith(SHARDS):
        return
    shown = _config(config)
    identity = json.dumps([shown, str(output.resolve())], sort_keys=True)
    tracked = Run(tracking, output, shown, hashlib.sha256(identity.encode()).hexdigest()[:16], job_type="synthesis")
    tracked.call(lambda w: _use_seeds(w, config, place), "the artifact of the seeds")
    for values in curve(result.kept, result.rejected):
        tracked.log({f"synthesis/{key}": value for key, value in values.items()}, int(values["proposals"]))

    def table(tracked: Any) -> None:
        import wandb

        tracked.log({"rounds": wandb.Table(columns=list(ROUND_COLUMNS), data=round_lines(stats))})

    tracked.call(table, "the table of the rounds")
    tracked.call(lambda w: tracked_files.log_data(w, output), "the artifact of the data")
    tracked.finish({f"synthesis/{key}": value for key, value in summary(stats, run).items()})


def curve(kept: Iterable[Outcome], rejected: Iterable[Outcome], points: int = POINTS) -> Iterator[dict[str, float]]:
    """Yield about `points` rows of numbers that show the course of the run. Each row covers all proposals from the
    beginning to some point of the run. The last row covers all proposals. A row has counts, drops by stage, rates, and
    the reviewers' agreement (Krippendorff's alpha). `kept` and `rejected` must be sorted by round and index."""
    total = sum(1 for _ in kept) + sum(1 for _ in rejected)
    every = max(1, -(-total // points))
    counts: Counter[str] = Counter()
    health = Health()
    streams = (((o, True) for o in kept), ((o, False) for o in rejected))
    for number, (outcome, is_kept) in enumerate(heapq.merge(*streams, key=lambda pair: _place(pair[0])), 1):
        counts["proposals"] += 1
        counts["kept"] += is_kept
        counts["accepted"] += passed_gate(outcome)
        counts["adjudicated"] += outcome.adjudicated
        counts["calls"] += len(outcome.calls)
        counts["unusable_replies"] += sum(not call.usable for call in outcome.calls)
        if not is_kept:
            reason = REASONS.get(outcome.reason)
            counts[f"lost/{outcome.reason if reason is None or reason.accepted else reason.stage}"] += 1
        health.add(outcome)
        if number % every == 0 or number == total:
            alpha = health.account()["alpha"]
            rates = _rates(counts)
            yield {
                "round": outcome.round,
                **counts,
                **rates,
                **({} if alpha is None else {"krippendorff_alpha": alpha}),
            }


def summary(stats: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, float]:
    """Return the final numbers of the run: counts of kept and dropped proposals, rates, agreement, cost and speeds.
    Unknown numbers are left out."""
    found: dict[str, Any] = {**{key: stats.get(key) for key in (*COUNTS, *AGREEMENT)}, **_rates(stats)}
    found |= {key: stats["cost"][key] for key in ("tokens", "flops")}
    found |= {f"{key}_per_kept": stats["cost"]["per_kept"][key] for key in ("calls", "tokens", "flops")}
    found |= {
        "seconds": run["seconds"],
        "gpu_seconds": run["cost"]["gpu_seconds"],
        "energy_kwh": run["cost"]["energy_kwh"],
    }
    if run["seconds"] > 0:
        found["calls_per_second"] = (run["asked"] - run["replayed"]) / run["seconds"]
    found |= {f"dropped/{reason}": count for reason, count in stats["reasons"].items()}
    for model, one in (stats["health"].get("reviewers") or {}).items():
        found[f"severity/{model}"] = one.get("severity")
    found["simulated"] = stats["simulated"]
    return {key: float(value) for key, value in found.items() if value is not None}


def round_lines(stats: Mapping[str, Any]) -> list[list[Any]]:
    """Return a table with a row for each round and the columns ROUND_COLUMNS. A missing value is None."""
    return [[{**one, **_rates(one)}.get(column) for column in ROUND_COLUMNS] for one in stats["rounds"]]


def _place(outcome: Outcome) -> tuple[int, int]:
    return outcome.round, outcome.index


def _rates(counts: Mapping[str, Any]) -> dict[str, float]:
    return {name: counts[part] / counts[whole] for name, (part, whole) in RATES.items() if counts.get(whole)}


def _config(config: SynthesisConfig) -> dict[str, Any]:
    """Return the config for W&B: the settings that decide the data, without paths and servers."""
    return {
        "seed": config.seed,
        "seeds": config.seeds.model_dump(mode="json"),
        "synthesis": config.synthesis.model_dump(mode="json", exclude=PRIVATE),
        "models": config.pool.parameters,
    }


def _use_seeds(run: Any, config: SynthesisConfig, place: Path | None) -> None:
    """Log the seeds as an input artifact of `run`. If their path is a data folder of this project, or the data file in
    such a folder, the artifact is this data folder. Otherwise, it is the file or folder at the path. Seeds from the
    Hugging Face hub are not logged, because they have no files here."""
    if config.seeds.path is None or config.seeds.hub is not None:
        return
    path = resolve(config.seeds.path, place)
    folder = path.parent.parent if path.parts[-2:] == TRAIN.parts else path
    if (folder / TRAIN).is_file():
        tracked_files.use_data(run, "seeds", folder)
    elif path.exists():
        tracked_files.use_seeds(run, path, place)
