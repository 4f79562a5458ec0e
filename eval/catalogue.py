"""Which tasks there are: our own YAMLs under `eval/tasks/`, and lm-eval's, found without importing lm-eval (seconds).

lm-eval's own index parses some 14,000 YAML files; reading the names alone by a regular expression takes about a second,
and happens only where a name is not one of ours.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

TASKS = Path(__file__).parent / "tasks"
_NAME = re.compile(r"^(?:[ \t]*-[ \t]*)?[\"']?(?P<kind>task|group|tag)[\"']?:[ \t]*(?P<name>[^\s#\[!]\S*)", re.MULTILINE)
_TAGS = re.compile(r"^[\"']?tag[\"']?:[ \t]*\n(?P<items>(?:[ \t]*-[ \t]*\S+[^\n]*\n?)+)", re.MULTILINE)


@cache
def own() -> dict[str, Path]:
    """Our tasks: name -> YAML. The file is named after the task; files that start with an underscore are shared parts."""
    return {path.stem: path for path in sorted(TASKS.rglob("*.yaml")) if not path.stem.startswith("_")}


@cache
def official() -> dict[str, Path | None]:
    """lm-eval's names: task -> its YAML, group or tag -> None. Empty where lm-eval is not installed."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return {}
    names: dict[str, Path | None] = {}
    for path in sorted((Path(spec.origin).parent / "tasks").rglob("*")):
        if path.suffix not in ("", ".yaml", ".yml") or not path.is_file():
            continue  # tags may stand in templates, whose names have no ending
        text = path.read_text(encoding="utf-8", errors="replace")
        found = {(match["kind"], match["name"].strip("\"'")) for match in _NAME.finditer(text)}
        single = path.suffix == ".yaml" and not any(kind == "group" for kind, _ in found)
        for kind, name in found:
            if kind == "task" and single:
                names[name] = names.get(name) or path
            elif path.suffix == ".yaml" or kind == "tag":
                names.setdefault(name, None)
        for block in _TAGS.finditer(text):
            for item in re.findall(r"-[ \t]*([^\s#]+)", block["items"]):
                names.setdefault(item.strip("\"'"), None)
    return names


def find(name: str) -> Path | None:
    """The YAML of a single task, ours before lm-eval's; None for a group, a tag, or a name that nobody knows."""
    return own().get(name) or official().get(name)


def known(name: str) -> bool:
    """Whether lm-eval will find a task, group or tag of this name."""
    return name in own() or name in official()


def read(path: Path) -> dict[str, Any]:
    """A task YAML with its includes merged, as lm-eval merges them; `!function` values stay strings.

    Raises OSError for a file that is not there, yaml.YAMLError for one that is no YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]
    config = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    includes = config.pop("include", [])
    merged: dict[str, Any] = {}
    for include in includes if isinstance(includes, list) else [includes]:
        merged |= read(path.parent / include)
    return merged | config
