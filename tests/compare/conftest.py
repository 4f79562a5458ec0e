"""Made-up store folders, in the formats that the stages write, to compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from score_folder import TASKS, write_scores

from gra.compare.arms import Arm

DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")
MODELS = ("slm-a", "slm-b", "slm-c", "slm-d", "slm-e")
MANIFEST = {
    "hash": "0123456789abcdef" * 4,
    "simulated": True,
    "git": {"commit": "f" * 40, "dirty": False},
    "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
    "config": {"seed": 0, "synthesis": {"tau": 8.0, "delta": 1.5}},
    "start": "2026-01-01T00:00:00+00:00",
    "end": "2026-01-01T00:01:00+00:00",
    "host": "some-host",
}


def sample(index: int, rng: np.random.Generator, **changes: Any) -> dict[str, Any]:
    """One row of train.parquet; rejected.parquet's has `reason` and `detail` too."""
    level = rng.integers(4, 11)
    reviews = [{name: int(np.clip(level + rng.integers(-2, 2), 0, 10)) for name in DIMENSIONS} for _ in range(3)]
    means = [sum(r.values()) / 6 for r in reviews]
    scores = [{"model": m, **r, "score": s} for m, r, s in zip(MODELS[1:4], reviews, means, strict=True)]
    written = [
        {
            "model": m,
            "scores": r,
            "strengths": "Short and to the point.",
            "weaknesses": "Does not show the carry.",
            "missing": None,
        }
        for m, r in zip(MODELS[1:4], reviews, strict=True)
    ]
    verdicts = dict.fromkeys(("reasonableness", "completeness", "clarity"), True)
    checks = [{"model": m, "verdicts": verdicts, "comment": "Fine.", "missing": None} for m in MODELS[1:4]]
    row = {
        "id": f"r1-{index:06d}",
        "instruction": f"Add {index} and {index + 17}, then write the sum in words.",
        "response": f"The sum is {2 * index + 17}.",
        "messages": [{"role": "user", "content": "..."}],
        "domain": "mathematics",
        "keywords": ["sum", "words", "carry"],
        "summary": "adding two numbers",
        "round": 1,
        "generator": "slm-a",
        "reviewers": list(MODELS[1:4]),
        "adjudicator": "slm-e",
        "annotator": "slm-b",
        "scores": scores,
        "adjudication": None,
        "mean": float(np.mean(means)),
        "std": float(np.std(means)),
        "decision": "accepted",
        "parents": ["s1", "s2"],
        "reviews_json": json.dumps(written),
        "checks_json": json.dumps(checks),
        "adjudication_json": None,
    }
    return {**row, **changes}


def write_data(folder: Path, *, kept: int = 120, dropped: int = 80, texts: dict[str, Any] | None = None) -> Path:
    """A synthesis folder of a committee. `texts` replaces fields of the first kept sample."""
    rng = np.random.default_rng(3)
    good = [sample(i, rng) for i in range(kept * 3)]
    good = sorted(good, key=lambda row: -row["mean"])[:kept]
    last = {"model": "slm-e", **dict.fromkeys(DIMENSIONS, 8), "score": 8.0}
    for row in good[::25]:
        row |= {"decision": "adjudicated", "adjudication": last, "std": 1.9}
    good[0] |= texts or {}
    reasons = ["below_tau", "below_tau", "instruction_rejected", "duplicate", "adjudicated_out", "response_missing"]
    bad = []
    for i in range(dropped):
        row = sample(kept * 3 + i, rng, reason=reasons[i % len(reasons)], detail="", decision="accepted")
        if row["reason"] in ("instruction_rejected", "response_missing"):
            row |= {"response": "", "scores": [], "mean": None, "std": None, "reviews_json": "[]"}
        elif row["reason"] == "below_tau":
            row["mean"] = min(row["mean"], 7.5)
        bad.append(row)
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(good), folder / "data" / "train.parquet")
    if bad:
        pq.write_table(pa.Table.from_pylist(bad), folder / "rejected.parquet")
    counts = {reason: sum(row["reason"] == reason for row in bad) for reason in set(reasons)} if bad else {}
    use = {"in": 120_000, "out": 30_000, "calls": 900}
    stats = {
        "proposals": kept + dropped,
        "kept": kept,
        "accepted": kept - 12,
        "adjudicated": 45,
        "adjudicated_kept": 12,
        "duplicates": counts.get("duplicate", 0),
        "missing_verdicts": 9,
        "calls": 9000,
        "reasons": counts,
        "tokens": {model: dict.fromkeys(("generator", "reviewer", "adjudicator"), use) for model in MODELS},
        "low_std_share": 0.91,
        "krippendorff_alpha": 0.42,
        "simulated": True,
        "rounds": [],
    }
    (folder / "stats.json").write_text(json.dumps(stats))
    (folder / "SIMULATED").write_text("made-up test data\n")
    return folder


def write_model(folder: Path, seed: int, floor: float) -> Path:
    """A training folder with a log."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lines = ["step,epoch,loss,lr,grad_norm,tokens"]
    for step in range(1, 401):
        loss = floor + 3 * np.exp(-step / 60) + rng.normal(0, 0.08)
        lines.append(f"{step},{step / 400},{loss:.4f},0.001,1.0,{step * 1000}")
    (folder / "log.csv").write_text("\n".join([*lines, "400,1.0,,,,"]) + "\n")
    return folder


@pytest.fixture
def make_arm(tmp_path: Path) -> Callable[..., Arm]:
    """make_arm(name, skill=..., seed=..., replicate=..., steps=(...), **data_options) -> Arm with its folders written."""

    def make(
        name: str,
        *,
        label: str = "",
        skill: float = 0.0,
        seed: int = 0,
        replicate: int | None = None,
        wrong: float = 0.1,
        steps: tuple[str, ...] = ("data", "audit", "model", "scores"),
        tasks: dict[str, int] = TASKS,
        manifest: dict[str, Any] = MANIFEST,
        clusters: int = 0,
        **data: Any,
    ) -> Arm:
        base = tmp_path / f"{name}-{replicate}"
        folders: dict[str, Path] = {}
        for step in steps:
            folder = base / f"{step}-{name}-{replicate}"
            if step == "data":
                write_data(folder, **data)
            elif step == "audit":
                folder.mkdir(parents=True)
                audit = {"n": 300, "wrong": round(300 * wrong), "wrong_share": wrong, "unknown": 3}
                (folder / "audit.json").write_text(json.dumps(audit))
            elif step == "model":
                write_model(folder, seed, 0.6 - skill)
            else:
                write_scores(folder, skill, seed, tasks, simulated=manifest["simulated"], clusters=clusters)
            folders[step] = folder
        return Arm(name, label or name, replicate, folders, dict.fromkeys(folders, manifest))

    return make
