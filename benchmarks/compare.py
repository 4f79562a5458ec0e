"""How long the comparison of two runs takes, in the layout of the paper's ten benchmarks, reading included.

    python benchmarks/compare.py                 # 39,489 items a run, 10,000 resamples
    python benchmarks/compare.py --loop 20       # ... and a plain loop over items and clusters, timed on 20 resamples

Writes two made-up runs (the benchmarks' sizes and clusters are real, the answers are not) to a temporary folder, then does what
`gra compare FOLDER FOLDER` does: reads both, and resamples strict, tolerant, form and extraction with intervals for either run
and their difference. The loop does the strict difference alone, and its time is scaled up to all resamples.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import machine, peak_mb, table

from gra.compare.options import Options
from gra.compare.pair import compare_runs
from gra.compare.reading.scores import Scores, load, outcomes
from gra.compare.statistics.item_scores import FEW_CLUSTERS, matched

LAYOUT = {  # items, and clusters where items have them
    "gsm8k": (1319, 0),
    "math_chat": (5000, 7),
    "humaneval_chat": (164, 0),
    "mbpp_chat": (500, 0),
    "hellaswag_chat": (10042, 0),
    "arc_challenge_chat": (1172, 0),
    "gpqa_diamond_chat": (198, 0),
    "bbh_chat": (6511, 27),
    "mmlu_chat": (14042, 57),
    "ifeval_chat": (541, 0),
}


def write_run(folder: Path, seed: int) -> Path:
    """A run of random answers with replies of 400 characters, as an evaluation leaves it."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {
        name: [] for name in ("task", "doc_id", "cluster", "answer", "reply", "extracted")
    }
    strict, tolerant = [], []
    scores = {}
    for task, (n, clusters) in LAYOUT.items():
        right, found = rng.random(n) < 0.6, rng.random(n) < 0.9
        columns["task"] += [task] * n
        columns["doc_id"] += [f"{task}-{i}" for i in range(n)]
        columns["cluster"] += [f"part {i % clusters}" if clusters else None for i in range(n)]
        columns["answer"] += [f"{i}" for i in range(n)]
        columns["reply"] += [f"{rng.integers(1 << 60)} " * 20 for _ in range(n)]
        columns["extracted"] += ["x" if one else None for one in found]
        strict += (right & found).astype(float).tolist()
        tolerant += right.astype(float).tolist()
        means = {"value": (right & found).mean(), "tolerant": right.mean(), "extraction": found.mean()}
        scores[task] = {"n": n, "metric": "exact_match", "group": task} | {
            key: float(value) for key, value in means.items()
        }
    written = pa.table(columns | {"correct": strict, "correct_tolerant": tolerant})
    pq.write_table(written, folder / "samples.parquet", compression="zstd")
    (folder / "scores.json").write_text(json.dumps({"simulated": False, "tasks": scores}))
    return folder


def loop(first: Scores, second: Scores, resamples: int) -> None:
    """The strict difference in the plainest way: every resample draws every benchmark's items or clusters one by one."""
    sides = [
        {task: found for task in LAYOUT if (found := outcomes([run], [0], task, "strict", ""))}
        for run in (first, second)
    ]
    tables = matched(*sides)
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        for found in tables.values():
            if found.member is None:
                drawn = [int(place) for place in rng.integers(0, len(found.outcomes), len(found.outcomes))]
            else:
                places: dict[int, list[int]] = {}
                for place, member in enumerate(found.member):
                    places.setdefault(int(member), []).append(place)
                assert len(places) >= FEW_CLUSTERS
                drawn = [place for member in rng.integers(0, len(places), len(places)) for place in places[int(member)]]
            sum(found.outcomes[place, 0] - found.outcomes[place, 1] for place in drawn) / len(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--loop", type=int, default=0, help="resamples of the plain loop; 0: leave it out")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_run(Path(folder) / name, seed) for seed, name in enumerate("ab")]
        start = time.perf_counter()
        runs = [load(path) for path in paths]
        read = time.perf_counter()
        compare_runs(runs[0], runs[1], Options(resamples=given.resamples))
        done = time.perf_counter()
    items = sum(n for n, _ in LAYOUT.values())
    rows = [["read", items, read - start, None], ["resample, four kinds", items, done - read, None]]
    rows.append(["both", items, done - start, None])
    if given.loop:
        begun = time.perf_counter()
        loop(*runs, given.loop)
        seconds = (time.perf_counter() - begun) / given.loop * given.resamples
        rows.append(["plain loop, strict difference alone", items, seconds, seconds / (done - start)])
    print(table(["what", "items a run", "seconds", "times as long"], rows))
    print(f"peak memory: {peak_mb():.0f} MB")


if __name__ == "__main__":
    main()
