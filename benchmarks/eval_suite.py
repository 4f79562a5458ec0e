"""The suite `paper` in full, against a server that knows every answer: are the scores right, and what does all but the model cost.

    python benchmarks/eval_suite.py DATA_DIR                    # the 34,291 items of eight benchmarks, and 114 made-up ones
    python benchmarks/eval_suite.py DATA_DIR --model unasked    # every reply right, none in the form that was asked for
    python benchmarks/eval_suite.py DATA_DIR --tiny             # instead of the server a tiny random model, 20 items a task

DATA_DIR is a `suite.data_dir`; MATH and GPQA are replaced by made-up items. The server (tests/eval/canned_server.py, a child
process) words its replies in the ways of tests/eval/canned_wordings.py; strict, tolerant and extracted are compared item by item
with what that table says, and the exit code is 1 where one differs. CPU time is that of the evaluation's process and, as "with
children", of the sandboxes and of the judge of MATH besides.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from harness import machine, peak_mb, table

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "eval"), str(ROOT / "tests" / "synthesis")]

from canned_items import FILES, items, made_up  # noqa: E402
from canned_server import running  # noqa: E402
from canned_verdicts import in_scores, judged  # noqa: E402
from canned_wordings import MODES  # noqa: E402
from tiny_models import save_tiny_chat_model  # noqa: E402

from gra.eval import stage  # noqa: E402
from gra.fileio import read_json  # noqa: E402

TINY = {"limit": 20, "max_new_tokens": 32}


def suite(folder: Path, **more: Any) -> dict[str, Any]:
    """conf/suite/paper.yaml on the files of `folder`."""
    raw = yaml.safe_load((ROOT / "conf" / "suite" / "paper.yaml").read_text(encoding="utf-8"))
    return dict(raw) | {"data_dir": str(folder), "skip_missing": True} | more


def linked(source: Path, folder: Path) -> Path:
    """A data folder with the shared benchmarks and, for those that are not shared, made-up items."""
    folder.mkdir()
    for path in source.iterdir():
        if path.name not in ("math", "gpqa"):
            (folder / path.name).symlink_to(path.resolve())
    made_up(folder)
    return folder


def known_seconds(output: Path, again: Path, config: dict[str, Any]) -> float:
    """The same evaluation once more with all replies known: what is left is lm-eval, extraction, sandboxes, statistics."""
    again.mkdir()
    start = time.perf_counter()
    stage.run(config | {"runtime": config["runtime"] | {"reuse": [str(output)]}}, {}, again)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--model", choices=list(MODES), default="mixed", help="which wordings")
    parser.add_argument("--limit", type=int, help="items of each task")
    parser.add_argument("--tasks", nargs="+", choices=list(FILES), help="only these")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--send", choices=("tokens", "text", "messages"), default="tokens")
    parser.add_argument("--again", action="store_true", help="and once more with all replies known")
    parser.add_argument("--tiny", action="store_true", help="a tiny random model instead of the server")
    parser.add_argument("--keep", type=Path, help="write the scores folder here")
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="eval-suite-") as temporary:
        scratch = Path(temporary)
        model = save_tiny_chat_model(scratch / "model", positions=8192)
        output = given.keep or scratch / "scores"
        output.mkdir(parents=True)
        if given.tiny:
            few = TINY | {"limit": given.limit or TINY["limit"]}
            config = {
                "suite": suite(given.data_dir, **few),
                "model": {"path": str(model), "max_length": 1024},
            }  # its vocabulary is small
            start = time.perf_counter()
            stage.run(config, {}, output)
            report(read_json(output / "scores.json"), time.perf_counter() - start)
            return 0
        data = linked(given.data_dir, scratch / "data")
        wanted = suite(data, limit=given.limit)
        if given.tasks:
            wanted |= {"tasks": given.tasks, "groups": {}}
        known = {task: mine for task, mine in items(data).items() if task in wanted["tasks"]}
        with running(data, model) as url:
            server = {
                "path": str(model),
                "backend": "server",
                "base_url": url,
                "name": given.model,
                "max_length": 1 << 17,
            }
            runtime = {"concurrency": given.concurrency}
            config = {"suite": wanted, "model": server | {"send": given.send}, "runtime": runtime}
            start = time.perf_counter()
            stage.run(config, {}, output)
            seconds = time.perf_counter() - start
        scores = read_json(output / "scores.json")
        report(scores, seconds)
        if given.again:
            print(f"all replies known: {known_seconds(output, scratch / 'again', config):.0f} s")
        verdict = judged(output, known, given.model)
        faults = [*verdict.faults, *in_scores(verdict.sums, scores)]
        rows = [[task, sums.n, sums.strict, sums.tolerant, sums.extraction] for task, sums in verdict.sums.items()]
        print(table(["expected: task", "items", "strict", "tolerant", "extracted"], rows))
        print(f"items and scores that are not as expected: {len(faults)}", *faults[:200], sep="\n")
        return int(bool(faults))


def report(scores: dict[str, Any], seconds: float) -> None:
    """Time and memory, for the number of items there were."""
    count = sum(task["n"] for task in scores["tasks"].values())
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, theirs = (used.ru_utime + used.ru_stime for used in times)
    rows = [[count, seconds, count / seconds, own, own + theirs, peak_mb()]]
    print(table(["items", "seconds", "items/s", "CPU s", "with children", "peak MB"], rows))


if __name__ == "__main__":
    sys.exit(main())
