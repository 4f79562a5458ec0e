"""lm-eval's TaskManager over no more YAMLs than the suite needs (all of them take 14 s); its tasks tried before a model loads."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval import catalogue, local_data, subset
from eval.plan import Local
from eval.settings import CHAT_TOKENS, PLAIN_TOKENS, Suite
from gra.errors import EvalError


def manager(suite: Suite, local: Local, scratch: Path) -> Any:
    """A TaskManager that knows the suite's tasks: local ones by YAMLs written to the folder `scratch`, others where they lie."""
    from lm_eval.tasks import TaskManager

    here = {task.name for task in local.tasks}
    leaves = set(here)
    for task in local.tasks:
        local_data.write_yaml(task, scratch)
    for name, path in local.groups.items():
        local_data.write_group(name, path, scratch)
    folders: set[str] = set()
    everything = False
    for name in suite.tasks:
        members = catalogue.members(name)
        leaves |= set(members.tasks) if members is not None else set()
        if members is None:
            everything = True
        elif not here.issuperset(members.tasks):
            folders |= {str(path.parent) for path in [*members.tasks.values(), *members.groups.values()] if isinstance(path, Path)}
            for leaf, yaml in members.tasks.items():
                if isinstance(yaml, tuple):  # lies nowhere as one file
                    local_data.write_yaml(local_data.LocalTask(leaf, yaml, {}), scratch)
    if any("ifeval" in name for name in leaves):
        from eval import ifeval

        ifeval.prepare()
    return TaskManager(include_path=[*sorted(folders), str(scratch)], include_defaults=everything)


def tried(tasks: Any, suite: Suite, seed: int) -> tuple[list[Any], dict[str, str]]:
    """The suite's tasks and groups, loaded with the TaskManager `tasks` before any model is, so that what goes wrong there (the
    hub, terms of access, unsafe code) is told apart from faults of the run. Also those whose data are not to be had, with the
    reason, where `suite.skip_missing` lets them be left out. `seed`: of tasks that shuffle the choices of their items.

    Raises EvalError for a task that cannot be loaded otherwise, and for one that would run model-written code in this process.
    """
    from jinja2 import TemplateError

    objects: list[Any] = []
    skipped: dict[str, str] = {}
    for name in suite.tasks:
        random.seed(seed)
        try:
            loaded = tasks.load([name])
        except (OSError, KeyError, ValueError, TypeError, TemplateError) as error:
            text = f"lm-eval could not load {name}: {type(error).__name__}: {error}"
            if not (suite.skip_missing and isinstance(error, OSError)):
                raise EvalError(f"{text}\n    -> {_remedy(suite)}, or leave the task out") from error
            skipped[name] = text
            continue
        if unsafe := [leaf for leaf, task in loaded["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]:
            raise EvalError(
                f"{', '.join(unsafe)}: run model-written code in this process: take humaneval_chat, mbpp_chat, which have a sandbox"
            )
        for leaf, task in loaded["tasks"].items():
            _settle(task, seed)
            _decode(task, leaf, suite.apply_chat_template)
            if "ifeval" in leaf and task.config.metadata is not None:
                from eval import ifeval

                task.config.metadata["sentence_splitter"] = ifeval.prepare()  # what the verdicts hang on stands in results.json
        groups = loaded.get("groups") or {}
        objects += [groups[name]] if name in groups else loaded["tasks"].values()
    return objects, skipped


def taken(objects: list[Any], suite: Suite) -> dict[str, list[int]] | None:
    """Leaf task -> the places of its items that `suite.limit` takes (see subset.py), ascending; None: all of all of them.

    `objects`: what `tried` returned. The limit is of each task that the suite names, all leaf tasks of a group together.
    """
    from lm_eval.api.group import Group

    if suite.limit is None:
        return None
    found: dict[str, list[int]] = {}
    for one in objects:
        leaves = one.get_all_tasks() if isinstance(one, Group) else [one]
        found |= subset.taken({leaf.task_name: list(leaf.eval_docs) for leaf in leaves}, suite.limit, suite.limit_seed)
    return found


@contextmanager
def compiled_once() -> Iterator[None]:
    """Meanwhile each template is compiled once: lm-eval does so anew for every item, minutes for the paper's suite."""
    from lm_eval import utils

    before = utils.env.from_string
    utils.env.from_string = functools.lru_cache(256)(before)  # type: ignore[method-assign]
    try:
        yield
    finally:
        utils.env.from_string = before  # type: ignore[method-assign]


def _remedy(suite: Suite) -> str:
    if suite.data_dir is not None:
        return f"the records of its files in {suite.data_dir} must have the columns of the hub's data set: mend the files"
    return (
        "with no network, set suite.data_dir to the folder of the benchmarks' files; where the hub asks for access (GPQA), accept "
        "its terms there and set HF_TOKEN"
    )


_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # lm-eval's names, by precedence


def _decode(task: Any, leaf: str, chat: bool) -> None:
    """Give a task that generates what its YAML leaves open: how long a reply may be, and, asked as a chat, no text that ends it.

    Where a YAML names no `until`, lm-eval ends replies at what stands between worked examples, a blank line: base models go on
    with an example of their own there, but a chat model that writes in paragraphs is cut before its answer.
    """
    config = getattr(task, "config", None)
    if config is None or config.output_type != "generate_until":
        return
    decoding = dict(config.generation_kwargs or {})
    path = catalogue.find(leaf)
    spec = catalogue.read(path) if path is not None else {}
    stated = decoding if path is None or "class" in spec else spec.get("generation_kwargs") or {}
    if chat and "until" not in stated:
        decoding["until"] = []
    lengths = [length for name in _LENGTHS if (length := stated.get(name)) is not None]
    decoding = {key: value for key, value in decoding.items() if key not in _LENGTHS}
    decoding["max_gen_toks"] = lengths[0] if lengths else CHAT_TOKENS if chat else PLAIN_TOKENS
    task.set_config(key="generation_kwargs", value=decoding)


def _settle(task: Any, seed: int) -> None:
    """Make a task prepare its items once. lm-eval does so whenever it reads them, and its GPQA shuffles the choices each time:
    what was asked would be judged by another order."""
    config = getattr(task, "config", None)
    prepare = getattr(config, "process_docs", None)
    if prepare is None:
        return
    done: dict[int, tuple[Any, Any]] = {}  # by the id of a split, which is kept, so that no other can have it

    @functools.wraps(prepare)
    def once(split: Any) -> Any:
        if id(split) not in done:
            random.seed(seed)
            done[id(split)] = split, prepare(split)
        return done[id(split)][1]

    config.process_docs = once  # type: ignore[union-attr]
