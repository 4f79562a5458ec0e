"""Finds out which step made each folder that a user gives to `gra report`, and groups the folders into arms.

Two folders belong to one arm if the user gives both the same name (NAME=DIR). Without a name, a folder belongs to the
same arm as the folder from which it was made, if its manifest names that folder and the folder has not changed since.
So the report of a scores folder also shows the training and the data, even if the user gave the model as a path
(`gra eval model.path=MODELS/model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra.compare.arms import Arm
from gra.compare.reading import folders as evaluations
from gra.compare.reading.data import read_object
from gra.errors import ConfigError, Problem
from gra.fileio import read_json
from gra.labels import MANIFEST

EXPECTED = "the output of gra synthesize, refine, probe, train or eval, a step's folder in store=DIR, or lm-eval's logs"
STEPS = ("probe", "data", "audit", "model", "scores")  # in the order of their making: a step is made from earlier ones


def step_of(folder: Path) -> str | None:
    """Return the step in STEPS that made a folder; None if a report cannot show the folder."""
    if evaluations.is_run(folder):
        return "scores"
    if (folder / "data" / "train.parquet").is_file():
        return "data"
    if (folder / "audit.json").is_file():
        return "audit"
    if (folder / "probe.json").is_file():
        return "probe"
    trained = (folder / "log.csv").is_file() or (folder / "model" / "log.csv").is_file()
    return "model" if trained else None


def arms_of(words: Sequence[str]) -> list[Arm]:
    """Return the arms that a report shows. `words`: the folders that the user gives, each as NAME=DIR or DIR. If
    several folders with the same name come from the same step, they are training runs of one arm.

    Raises ConfigError if one of the folders does not exist or was not made by a step in STEPS.
    """
    problems: list[Problem] = []
    named: dict[str, list[dict[str, Path]]] = {}
    given: list[tuple[str, Path, str]] = []
    for word in words:
        name, folder = evaluations.split(word)
        step = step_of(folder)
        if step is None:
            what = "no such folder" if not folder.exists() else f"holds nothing to report{_instead(folder)}"
            problems.append(Problem("DIR", f"`{folder}`: {what}", EXPECTED))
        else:
            given.append((name, folder, step))
    if problems:
        raise ConfigError(problems)
    for name, folder, step in sorted(given, key=lambda one: -STEPS.index(one[2])):  # the last step first
        there = [known.resolve() for arms in named.values() for arm in arms for known in arm.values()]
        if not name and folder.resolve() in there:
            continue  # a folder already listed was made from it
        trainings = named.setdefault(name or _own_name(folder, named), [])
        if any(arm.get(step, folder.parent).resolve() == folder.resolve() for arm in trainings):
            continue
        arm = next((arm for arm in trainings if step not in arm), None)
        if arm is None:
            trainings.append(arm := {})
        arm |= {step: folder} | {key: path for key, path in sources(folder).items() if key not in arm}
    order = [name or folder.resolve().name for name, folder, _ in given]
    names = sorted(named, key=lambda name: order.index(name) if name in order else len(order))
    return [
        _arm(name, folders, place if len(named[name]) > 1 else None)
        for name in names
        for place, folders in enumerate(named[name])
    ]


def sources(folder: Path) -> dict[str, Path]:
    """Return the folders from which `folder` was made, directly or through other steps. The result maps the name of a
    step to the folder that this step made.

    A source folder is left out if it has changed since a later step used it. In that case, its hash differs from the
    hash in the manifest of the later step's folder.
    """
    found: dict[str, Path] = {}
    for entry in (manifest_of(folder).get("inputs") or {}).values():
        if not isinstance(entry, dict) or not isinstance(entry.get("folder"), str):
            continue
        for path in (Path(entry["folder"]), folder.parent / Path(entry["folder"]).name):
            if manifest_of(path).get("hash") == entry.get("hash") is not None and (step := step_of(path)) is not None:
                found |= {**sources(path), step: path}
                break
    if "model" not in found and (trained := _training_of(folder)) is not None:
        found |= {**sources(trained), "model": trained}
    return found


def _training_of(folder: Path) -> Path | None:
    """Return the training folder that holds the evaluated model, if the user gave the model as a path (`gra eval
    model.path=...`). `folder`: the folder of the evaluation. None if the path is not in a training folder, or if the
    training ended after the evaluation had begun, because the model was then another one."""
    made = manifest_of(folder)
    try:
        model, begun = Path(made["config"]["model"]["path"]), str(made["start"])
    except (KeyError, TypeError):
        return None
    for path in (model.parent, model):
        ended = manifest_of(path).get("end")
        if ended is not None and str(ended) <= begun and step_of(path) == "model":
            return path
    return None


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the content of the folder's manifest.json; {} if the file does not exist or is not a JSON object."""
    try:
        found = read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def title_of(arms: Sequence[Arm]) -> str:
    """Return the heading of a report on these arms."""
    if (count := len({arm.name for arm in arms})) > 1:
        return f"Comparison of {count} arms"
    arm = arms[0]
    step = max(arm.folders, key=STEPS.index)
    stats = read_object(arm.file("data", "stats.json")) or {}
    kind = {"probe": "Probe", "data": "Data", "model": "Training", "scores": "Scores", "audit": "Audit"}[step]
    if step == "data" and stats.get("calls") == 0:
        kind = "Seed data"
    return f"{kind}: {arm.label}"


def _arm(name: str, folders: dict[str, Path], replicate: int | None) -> Arm:
    ordered = {step: folders[step] for step in STEPS if step in folders}
    return Arm(name, name, replicate, ordered, {step: manifest_of(path) for step, path in ordered.items()})


def _own_name(folder: Path, taken: dict[str, Any]) -> str:
    """The folder's name; PARENT/NAME if another arm has this name already."""
    whole = folder.resolve()
    return whole.name if whole.name not in taken else f"{whole.parent.name}/{whole.name}"


def _instead(folder: Path) -> str:
    """A hint that names up to five folders in this one that a report can show; "" if there are none."""
    if not folder.is_dir():
        return ""
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir() and step_of(path) is not None)
    return f"; inside of it: {', '.join(inside[:5])}" if inside else ""
