"""Loads the scores in a folder that either `gra eval` or lm-eval (with --log_samples) wrote."""

from __future__ import annotations

from pathlib import Path

from gra.compare.arms import Arm
from gra.compare.reading import lm_eval_log, scores
from gra.compare.reading.scores import Scores
from gra.errors import EvalError


def is_run(path: Path) -> bool:
    """Return whether `path` holds scores of `gra eval` or logs of lm-eval."""
    return (path / "scores.json").exists() or lm_eval_log.is_log(path)


def load(path: Path, metric: str | None = None) -> Scores:
    """Return the scores in the folder `path`, which `gra eval` or lm-eval wrote. `metric`: the metric to read from
    lm-eval's logs. Raises EvalError if a file is damaged or the folder has no scores."""
    if not path.exists():
        raise EvalError(
            f"{path}: no such folder\n    -> give the folder of a finished evaluation (gra eval ... output=DIR)"
        )
    if not is_run(path) and (path / "manifest.json").exists():
        remedy = "compare folders of evaluations: gra eval model.path=MODEL output=DIR"
        raise EvalError(f"{path}: holds no scores (scores.json): it is the folder of another stage\n    -> {remedy}")
    if not (path / "scores.json").exists() and lm_eval_log.is_log(path):
        return lm_eval_log.load(path, metric)
    return scores.load(path)


def load_arm(arm: Arm) -> Scores | None:
    """Return the scores of an arm, or None if it has not been evaluated."""
    folder = arm.folders.get("scores")
    return load(folder, arm.metric) if folder is not None else None


def split(word: str) -> tuple[str, Path]:
    """Split a command-line argument into name and folder. `word`: the argument, either NAME=FOLDER or FOLDER alone.
    Without a NAME, the returned name is ""."""
    name, sign, folder = word.partition("=")
    return ("", Path(word)) if not sign or Path(word).exists() else (name, Path(folder))
