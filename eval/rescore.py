"""Scores an evaluation again from its stored replies with the current extraction: without the model, without lm-eval.

Command: gra rescore FOLDER --output DIR [--reading strict|opencompass]
         gra rescore FOLDER --output DIR --reading verified --verifier-url URL --verifier-model NAME
(FOLDER: the output of `gra eval` or of a step `scores`; its samples/*.jsonl hold the items, the replies and lm-eval's verdicts)

`--reading opencompass` reads the strict answers by OpenCompass's rules (opencompass.py), in lm-eval's tasks as well as
in ours. IFEval, the closed world and tasks with an unknown kind of answer keep their strict verdicts. The tolerant
answers and verdicts stay as they are. scores.json records the reading under `how`, and `gra compare` lists the tasks
that were read differently.

`--reading verified` asks a model at an OpenAI-compatible server whether each reply's final answer is the right one
(verified.py). Only this reading needs a network. The verifier's replies are kept in DIR, so the same command resumes
after a kill. The API key comes from the environment.

Written to DIR: samples.parquet, scores.json, the labels SIMULATED and QUANTIZED if FOLDER has them, and rescored.json
(which scores of each task were computed again).

Redone: all tolerant scores, and the strict scores of our own tasks (`eval/tasks/`) except IFEval's. Programs run again
in the sandbox. Not redone: the strict scores of lm-eval's tasks, which need lm-eval's filters and metrics. To redo
these, run the evaluation again with `'runtime.reuse=[FOLDER]'`, which sends nothing to the model. A rescore cannot fix
prompts or truncated replies.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.errors import EvalError, GraError
from gra.eval import verified
from gra.eval.inference.verifier import Verifier
from gra.eval.report import samples, scores
from gra.eval.sandbox import SandboxError
from gra.eval.sandbox.run import OVERRIDE
from gra.eval.scoring import answers, code, rereading
from gra.eval.suite import catalogue
from gra.fileio import read_json, write_json, write_text
from gra.labels import MARK, QUANTIZED, quantized, simulated
from gra.pipes import outlive_reader

_AGAIN = "run the evaluation again: gra eval"


def main(argv: Sequence[str]) -> int:
    """Run the command with these arguments and return the exit code."""
    outlive_reader()
    parser = argparse.ArgumentParser(
        prog="gra rescore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a finished evaluation")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to create")
    parser.add_argument(
        "--sandbox",
        choices=("auto", "none"),
        default="auto",
        help="how model-written code runs, as suite.sandbox; default: auto",
    )
    parser.add_argument(
        "--reading",
        choices=rereading.READINGS,
        default="strict",
        help="rules that read the strict answers; default: strict, the rules of this project",
    )
    asked = parser.add_argument_group("--reading verified")
    asked.add_argument("--verifier-url", metavar="URL", help="address of the server, up to /v1")
    asked.add_argument("--verifier-model", metavar="NAME", help="the verifier's name at the server")
    asked.add_argument(
        "--verifier-key-env",
        metavar="NAME",
        default=Verifier.key_env,
        help=f"environment variable with the API key; default: {Verifier.key_env}",
    )
    for flag, default, what in (
        ("--verifier-tokens", Verifier.max_tokens, "limit of a verdict in tokens, its reasoning included"),
        ("--concurrency", Verifier.concurrency, "calls in flight"),
    ):
        asked.add_argument(flag, type=int, metavar="N", default=default, help=f"{what}; default: {default}")
    options = parser.parse_args(argv)
    try:
        result = rescore(options.folder, options.output, options.sandbox, options.reading, _verifier(parser, options))
    except GraError as error:
        print(error, file=sys.stderr)
        return error.code
    for name, value in scores.flat(result).items():
        print(f"{name:<50} {value:.4f}")
    for line in (result.get("verified") or {}).get("lines", ()):
        print(line)
    return 0


def _verifier(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Verifier | None:
    """Return the verifier that the flags name; None for the other readings. Wrong flags end the command."""
    if (options.reading == rereading.VERIFIED) != bool(options.verifier_url and options.verifier_model):
        parser.error("--reading verified goes with --verifier-url URL and --verifier-model NAME, and only it does")
    if min(options.verifier_tokens, options.concurrency) < 1:
        parser.error("--verifier-tokens and --concurrency must be at least 1")
    if options.reading != rereading.VERIFIED:
        return None
    return Verifier(
        options.verifier_url,
        options.verifier_model,
        options.verifier_key_env,
        options.verifier_tokens,
        options.concurrency,
    )


def rescore(
    folder: Path, output: Path, sandbox: str = "auto", reading: str = "strict", verifier: Verifier | None = None
) -> dict[str, Any]:
    """Score the replies of the evaluation in `folder` again, write the result to `output`, and return the new
    scores.json.

    `output` must be new or empty. If a verifier is given, `output` can also be the folder of an earlier,
    unfinished call (verified.begin).

    `reading`: the rules that score the replies: "strict" (the task's own), "opencompass", or "verified" (a model judges
    the replies).
    `verifier`: the model that judges the replies. It is required if `reading` is "verified" and must be None otherwise.

    Raises EvalError if `folder` is not a finished evaluation, if `output` is not empty, or if the replies are
    programs and the sandbox does not work. With a verifier, the function can also raise ConfigError, StoreError and
    ServerError.
    """
    if (verifier is not None) != (reading == rereading.VERIFIED):
        raise EvalError("the reading `verified` needs a verifier, the others none\n    -> give a server and its model")
    if verifier is None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise EvalError(f"{output}: not empty\n    -> give a new folder")
    before, results = _read(folder / "scores.json"), _read(folder / "results.json")
    owners = _owners(folder / "samples.parquet")
    kinds = {leaf: answers.kind_of(leaf, (results.get("configs") or {}).get(leaf, {})) for leaf in owners}
    if "code" in kinds.values():
        try:
            code.protect(sandbox)
        except SandboxError as error:
            raise EvalError(str(error).replace(OVERRIDE, "--sandbox none")) from error
    rows: list[samples.SampleRow] = []
    items: list[verified.Item] = []
    redone: dict[str, str] = {}
    reread: set[str] = set()
    for leaf, task in owners.items():
        logged = _logged(folder / "samples" / f"{leaf}.jsonl")
        again = _again(leaf, kinds[leaf], logged)
        mine = samples.rows(task, leaf, again or logged, kinds[leaf])
        if reading == rereading.OPENCOMPASS:
            again = rereading.reread(leaf, kinds[leaf], logged)
            reread |= {task} if again else set()
            for row, other in zip(mine, samples.rows(task, leaf, again) if again else (), strict=False):
                row["extracted"], row["correct"] = other["extracted"], other["correct"]  # the tolerant reading stays
        rows += mine
        items += [verified.Item(row, kinds[leaf], sample) for row, sample in zip(mine, _first(logged), strict=True)]
        what = (("strict" if verifier else reading, again), ("tolerant", kinds[leaf]))
        redone[leaf] = " and ".join(name for name, done in what if done) or "nothing"
    seen = None
    if verifier is not None:
        verified.begin(output, folder, verifier)
        seen = verified.read(verifier, items, output)
    entries = before["tasks"]
    metrics = {name: entry["metric"] for name, entry in entries.items() if entry.get("metric") is not None}
    groups = {name: str(entry.get("group") or name) for name, entry in entries.items()}
    labelled = bool(before.get("simulated")) or simulated([folder]) or (seen is not None and seen.simulated)
    how = {
        name: (entry.get("how") or {})
        | ({"reading": reading} if name in reread else {})
        | (seen.how(name) if seen is not None else {})
        for name, entry in entries.items()
    }
    result = scores.scores(list(entries), rows, metrics, groups, labelled, how)
    if labelled:
        write_text(output / MARK, "made from simulated inputs: the replies that were scored again\n")
    result["quantized"] = quantized([folder])
    if result["quantized"] is not None:
        write_text(output / QUANTIZED, result["quantized"] + "\n")
    told: dict[str, Any] = {"from": str(folder.resolve()), "reading": reading, "redone": redone}
    if seen is not None:
        told |= {"verifier": seen.verifier, "not_verified": seen.kept}
        result["verified"] = {"verifier": seen.verifier, **seen.every, "lines": seen.lines()}
        for name, counts in seen.tasks.items():
            result["tasks"][name]["verified"] = {"verifier": seen.verifier, **counts}
    samples.write(output / "samples.parquet", rows, seen.columns() if seen is not None else None)
    write_json(output / "rescored.json", told)
    write_json(output / "scores.json", result)
    return result


def _again(leaf: str, kind: str | None, logged: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the samples with answers and verdicts recomputed by our task's functions; None for a task that is not redone."""
    path = catalogue.own().get(leaf)
    spec = catalogue.read(path) if path is not None and kind != "ifeval" else {}
    steps = (spec.get("filter_list") or [{}])[0].get("filter") or [{}]
    extract, judge = _function(steps[0].get("filter_fn")), _function(spec.get("process_results"))
    if extract is None or judge is None:
        return None
    mine = _first(logged)
    found = extract([sample["resps"][0] for sample in mine], [sample["doc"] for sample in mine])
    return [
        {**sample, "filtered_resps": [several[0]], **judge(sample["doc"], [several[0]])}
        for sample, several in zip(mine, found, strict=True)
    ]


def _first(logged: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the samples of the task's first filter. The rows are made from these samples."""
    return [sample for sample in logged if sample["filter"] == logged[0]["filter"]]


def _function(dotted: str | None) -> Any:
    """Return the function that a YAML refers to as `!function gra.eval.room.name`; None if it refers to none."""
    room, _, name = (dotted or "").rpartition(".")
    return getattr(importlib.import_module(room), name) if room.startswith("gra.eval.") else None


def _owners(path: Path) -> dict[str, str]:
    """Return, for each leaf task, its task in the suite, in the order of the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(columns=["task", "subtask"])
        return dict(zip(table["subtask"].to_pylist(), table["task"].to_pylist(), strict=True))
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise EvalError(f"{path}: not readable as an evaluation's items ({error})\n    -> {_AGAIN}") from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise EvalError(f"{path}: not readable ({error})\n    -> give the folder of a finished evaluation") from error
    if not isinstance(found, dict):
        raise EvalError(f"{path}: not a JSON object\n    -> {_AGAIN}")
    return found


def _logged(path: Path) -> list[dict[str, Any]]:
    """Return lm-eval's logged samples, one per line of the file. Raises EvalError if there are none or they are not readable."""
    try:
        with path.open(encoding="utf-8") as lines:
            found = [json.loads(line) for line in _whole(lines)]
    except (OSError, ValueError) as error:
        raise EvalError(f"{path}: its replies are not readable ({error})\n    -> {_AGAIN}") from error
    if not found:
        raise EvalError(f"{path}: has no replies\n    -> {_AGAIN}")
    return found


def _whole(lines: Iterable[str]) -> Iterable[str]:
    return (line for line in lines if line.strip())
