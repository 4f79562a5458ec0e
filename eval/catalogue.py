"""Which tasks there are: our own YAMLs under `eval/tasks/`, and lm-eval's, found without importing lm-eval (seconds).

lm-eval's own index parses some 14,000 YAML files; reading names, tags and includes alone by regular expressions takes about a
second, and happens only where a name is not one of ours. It also tells which folders the tasks of a suite lie in, so that lm-eval
need not parse the others.

A group of ours may be made of one of lm-eval's (`metadata.made_from`): for each task there one here, named after our group, whose
YAML is lm-eval's with `_<group>.yaml` over it. That lies nowhere as one file: lm-eval's folder is known at run time alone.
"""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Yaml: TypeAlias = Path | tuple[Path, ...]  # a file, or files of which each goes over those before it

TASKS = Path(__file__).parent / "tasks"
_KEY = re.compile(r"^[\"']?(?P<key>task|group|tag|include)[\"']?:[ \t]*(?P<value>[^\s#!][^\n#]*)", re.MULTILINE)
_LIST = re.compile(r"^[\"']?(?P<key>tag|include)[\"']?:[ \t]*\n(?P<items>(?:[ \t]*-[ \t]*\S+[^\n]*\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Index:
    """lm-eval's names: tasks and groups -> their YAML, tags -> the files that name them (task YAMLs and templates)."""

    tasks: dict[str, Path]
    groups: dict[str, Path]
    tags: dict[str, set[Path]]
    includes: dict[Path, set[Path]]  # file -> the files that it includes


@dataclass(frozen=True)
class Members:
    """What a name comes to: its single tasks, in order, and the groups among them (itself included): name -> YAML."""

    tasks: dict[str, Yaml]
    groups: dict[str, Path]


@cache
def own() -> dict[str, Path]:
    """Our tasks: name -> YAML. The file is named after the task; files that start with an underscore are shared parts."""
    return {name: path for name, path in _own().items() if "group" not in _keys(path.read_text(encoding="utf-8"))}


@cache
def own_groups() -> dict[str, Path]:
    """Our groups that are made of lm-eval's: name -> YAML."""
    return {name: path for name, path in _own().items() if name not in own()}


@cache
def official() -> Index:
    """lm-eval's tasks, groups and tags. Empty where lm-eval is not installed."""
    index = Index({}, {}, {}, {})
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return index
    for path in sorted((Path(spec.origin).resolve().parent / "tasks").rglob("*")):
        if path.suffix not in ("", ".yaml", ".yml") or not path.is_file():
            continue  # tags may stand in templates, whose names have no ending
        found = _keys(path.read_text(encoding="utf-8", errors="replace"))
        if path.suffix == ".yaml":
            if "group" in found:
                index.groups.setdefault(found["group"][0], path)
            elif "task" in found:
                index.tasks.setdefault(found["task"][0], path)
        for tag in found.get("tag", ()):
            index.tags.setdefault(tag, set()).add(path)
        if "include" in found:
            index.includes[path] = {Path(os.path.normpath(path.parent / name)) for name in found["include"]}
    return index


def find(name: str) -> Yaml | None:
    """The YAML of a single task, ours before lm-eval's; None for a group, a tag, or a name that nobody knows."""
    if name in own():
        return own()[name]
    group = next((group for group in own_groups() if name.startswith(f"{group}_")), None)
    made = _made(group).get(name) if group is not None else None
    return made or official().tasks.get(name)


def known(name: str) -> bool:
    """Whether lm-eval will find a task, group or tag of this name."""
    return name in own() or name in own_groups() or name in names() or find(name) is not None


def names() -> set[str]:
    """All names of lm-eval's."""
    index = official()
    return {*index.tasks, *index.groups, *index.tags}


def members(name: str) -> Members | None:
    """The single tasks behind a task, group or tag; None where a group defines tasks in its own text, or for an unknown name."""
    path = find(name)
    if path is not None:
        return Members({name: path}, {})
    if name in own_groups():
        made = _made(name)
        return Members(made, {name: own_groups()[name]}) if made else None
    index = official()
    if name in index.groups:
        group = index.groups[name]
        inside = _joined(read(group).get("task"))
        return inside and Members(inside.tasks, {name: group} | inside.groups)
    return Members(_tagged(name), {}) if name in index.tags else None


def read(path: Yaml) -> dict[str, Any]:
    """A task YAML with its includes merged, as lm-eval merges them; `!function` values stay strings.

    Raises OSError for a file that is not there, yaml.YAMLError for one that is no YAML.
    """
    import yaml

    if isinstance(path, tuple):
        return {key: value for file in path for key, value in read(file).items()}

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]
    config = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    includes = config.pop("include", [])
    merged: dict[str, Any] = {}
    for include in includes if isinstance(includes, list) else [includes]:
        merged |= read(path.parent / include)
    return merged | config


def _own() -> dict[str, Path]:
    return {path.stem: path for path in sorted(TASKS.rglob("*.yaml")) if not path.stem.startswith("_")}


@cache
def _made(group: str) -> dict[str, Yaml]:
    """The tasks of a group of ours that is made of lm-eval's; empty where lm-eval is not installed, or has no such group."""
    path = own_groups()[group]
    base = read(path)["metadata"]["made_from"]
    theirs = members(base)
    over = path.with_name(f"_{path.name}")
    made = {} if theirs is None else {name: yaml for name, yaml in theirs.tasks.items() if isinstance(yaml, Path)}
    return {f"{group}{name.removeprefix(base)}": (yaml, over) for name, yaml in made.items()}


def _keys(text: str) -> dict[str, list[str]]:
    """The values of the four keys at the left edge of a YAML: names, unquoted; lists in either of YAML's forms."""
    found: dict[str, list[str]] = {}
    for match in _KEY.finditer(text):
        values = match["value"].strip().strip("[]").split(",") if match["key"] in ("tag", "include") else [match["value"]]
        found.setdefault(match["key"], []).extend(value.strip().strip("\"'") for value in values)
    for block in _LIST.finditer(text):
        items = re.findall(r"-[ \t]*([^\s#]+)", block["items"])
        found.setdefault(block["key"], []).extend(item.strip("\"'") for item in items)
    return found


def _joined(listed: Any) -> Members | None:
    """What the list `task:` of a group comes to: names, or groups and tasks written out in its own text."""
    tasks: dict[str, Yaml] = {}
    groups: dict[str, Path] = {}
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and "group" in item and item["group"] not in official().groups:
            inside = _joined(item.get("task"))
        else:
            inside = members(str(item.get("group") or item.get("task")) if isinstance(item, dict) else str(item))
        if inside is None:
            return None
        tasks |= inside.tasks
        groups |= inside.groups
    return Members(tasks, groups) if tasks else None


def _tagged(tag: str) -> dict[str, Yaml]:
    """The tasks of a tag: those whose YAML names it, or includes, however far, a file that does."""
    index = official()
    files = set(index.tags[tag])
    while more := {path for path, included in index.includes.items() if path not in files and included & files}:
        files |= more
    found = {name: path for name, path in index.tasks.items() if path in files}
    return {name: path for name, path in sorted(found.items()) if tag in _as_list(read(path).get("tag"))}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
