"""Lists the available tasks: the user's (suite.task_dir), ours (YAMLs under `eval/tasks/`), and lm-eval's.

lm-eval is not imported, because the import takes seconds, and lm-eval's index parses some 14,000 YAML files. This
module reads only the names, tags and includes in these files, with regular expressions. That takes about a second and
is done only for names that are not ours. This module also finds the folders of a suite's tasks, so that lm-eval parses
no other folders.

A group of ours can be derived from a group of lm-eval's (`metadata.made_from`). Our group then has one task for each
task of lm-eval's group; in the task's name, our group's name replaces the name of lm-eval's group. Two YAMLs define
such a task: lm-eval's, and our `_<group>.yaml`, whose keys take precedence. The two are not merged into one file,
because lm-eval's folder is known only at run time.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

Yaml: TypeAlias = Path | tuple[Path, ...]  # one file, or several files; later files override earlier ones

TASKS = Path(__file__).parents[1] / "tasks"
_FOLDER: ContextVar[Path | None] = ContextVar("folder of the user's tasks", default=None)
_FUNCTION = re.compile(r"!function[ \t]+[\"']?([\w.]+)\.\w+")
_KEY = re.compile(r"^[\"']?(?P<key>task|group|tag|include)[\"']?:[ \t]*(?P<value>[^\s#!][^\n#]*)", re.MULTILINE)
_LIST = re.compile(r"^[\"']?(?P<key>tag|include)[\"']?:[ \t]*\n(?P<items>(?:[ \t]*-[ \t]*\S+[^\n]*\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Index:
    """The names of lm-eval's tasks, groups and tags.

    `tasks` and `groups`: the YAML file of each name.
    `tags`: for each tag, the files that state it. These files define tasks, or are templates that the YAML files of
    tasks include.
    """

    tasks: dict[str, Path]
    groups: dict[str, Path]
    tags: dict[str, set[Path]]
    includes: dict[Path, set[Path]]  # file -> the files that it includes


@dataclass(frozen=True)
class Members:
    """The members of a task, group or tag.

    `tasks`: the single tasks, in order, each with its YAML.
    `groups`: the groups inside a group and the group itself, each with its YAML.
    """

    tasks: dict[str, Yaml]
    groups: dict[str, Path]


@contextmanager
def with_tasks_of(folder: str | None) -> Iterator[None]:
    """A context manager: inside it, the functions of this module also find the user's tasks in `folder`.

    `folder`: the setting `suite.task_dir`. None means that the user has no tasks.

    If another task has the same name, the user's task takes precedence.
    """
    token = _FOLDER.set(None if folder is None else Path(folder))
    try:
        yield
    finally:
        _FOLDER.reset(token)


def own() -> dict[str, Path]:
    """Return the YAML of each task that this project or the user defines, by the task's name.

    A task has the name of its YAML file. A file whose name begins with an underscore defines no task, but other YAMLs
    include it.
    """
    return _tasks() | users()


def users() -> dict[str, Path]:
    """Return the user's tasks, from the folder that `with_tasks_of` got: name -> YAML."""
    folder = _FOLDER.get()
    return {} if folder is None else {name: path for name, path in _yamls(folder).items() if _is_task(path)}


def needed_files(path: Path) -> set[Path]:
    """Return the files that define one of the user's tasks.

    They are its YAML, the YAMLs that it includes, and the Python files beside them to which `!function` refers. Missing
    files are left out.
    """
    if not path.is_file():
        return set()
    text = path.read_text(encoding="utf-8")
    modules = {path.parent / f"{name.replace('.', '/')}.py" for name in _FUNCTION.findall(text)}
    included = [path.parent / name.strip("\"' ") for name in _keys(text).get("include", ())]
    return {path, *(one for one in modules if one.is_file())}.union(*(needed_files(one) for one in included))


@cache
def _tasks() -> dict[str, Path]:
    return {name: path for name, path in _yamls(TASKS).items() if _is_task(path)}


@cache
def own_groups() -> dict[str, Path]:
    """Return our groups derived from lm-eval's: name -> YAML."""
    return {name: path for name, path in _yamls(TASKS).items() if name not in _tasks()}


@cache
def official() -> Index:
    """Return lm-eval's tasks, groups and tags; empty if lm-eval is not installed."""
    index = Index({}, {}, {}, {})
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return index
    for path in sorted((Path(spec.origin).resolve().parent / "tasks").rglob("*")):
        if path.suffix not in ("", ".yaml", ".yml") or not path.is_file():
            continue  # templates, which may have tags, have no suffix
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
    """Return the YAML of a single task; None for a group, a tag or an unknown name.

    If lm-eval has a task of this name, and this project or the user has one too, lm-eval's task is not returned.
    """
    if name in own():
        return own()[name]
    group = next((group for group in own_groups() if name.startswith(f"{group}_")), None)
    made = _made(group).get(name) if group is not None else None
    return made or official().tasks.get(name)


def known(name: str) -> bool:
    """Return whether `name` is the name of a task, a group or a tag."""
    return name in own() or name in own_groups() or name in names() or find(name) is not None


def names() -> set[str]:
    """Return the names of all tasks, groups and tags of lm-eval."""
    index = official()
    return {*index.tasks, *index.groups, *index.tags}


def members(name: str) -> Members | None:
    """Return the single tasks and the groups that a name stands for. It can name a task, a group or a tag.

    Return None for an unknown name, and for a group whose YAML defines its tasks inline instead of listing their names.
    """
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
    """Return the content of a task's YAML, with its includes merged as lm-eval merges them.

    Values of the form `!function NAME` become the text NAME. Raises OSError if a file is missing, and yaml.YAMLError if
    a file is not valid YAML.
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


def _yamls(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.rglob("*.yaml")) if not path.stem.startswith("_")}


def _is_task(path: Path) -> bool:
    return "group" not in _keys(path.read_text(encoding="utf-8"))


@cache
def _made(group: str) -> dict[str, Yaml]:
    """Return the tasks of one of our groups derived from lm-eval's; empty if lm-eval is not installed or lacks the group."""
    path = own_groups()[group]
    base = read(path)["metadata"]["made_from"]
    theirs = members(base)
    over = path.with_name(f"_{path.name}")
    made = {} if theirs is None else {name: yaml for name, yaml in theirs.tasks.items() if isinstance(yaml, Path)}
    return {f"{group}{name.removeprefix(base)}": (yaml, over) for name, yaml in made.items()}


def _keys(text: str) -> dict[str, list[str]]:
    """Return the values of the four top-level keys `task`, `group`, `tag` and `include` of a YAML's text.

    Quotes around names are removed; both of YAML's list notations are read.
    """
    found: dict[str, list[str]] = {}
    for match in _KEY.finditer(text):
        values = (
            match["value"].strip().strip("[]").split(",") if match["key"] in ("tag", "include") else [match["value"]]
        )
        found.setdefault(match["key"], []).extend(value.strip().strip("\"'") for value in values)
    for block in _LIST.finditer(text):
        items = re.findall(r"-[ \t]*([^\s#]+)", block["items"])
        found.setdefault(block["key"], []).extend(item.strip("\"'") for item in items)
    return found


def _joined(listed: Any) -> Members | None:
    """Return the members of a group's list `task:`; None if one of its entries cannot be resolved.

    Entries are names, or groups and tasks written inline.
    """
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
    """Return the tasks of a tag: those whose YAML has the tag, or includes (directly or not) a file that has it."""
    index = official()
    files = set(index.tags[tag])
    while more := {path for path, included in index.includes.items() if path not in files and included & files}:
        files |= more
    found = {name: path for name, path in index.tasks.items() if path in files}
    return {name: path for name, path in sorted(found.items()) if tag in _as_list(read(path).get("tag"))}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
