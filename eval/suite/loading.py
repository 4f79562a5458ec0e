"""Loads a suite's tasks with lm-eval before any model is loaded.

Only the YAMLs that the suite needs are parsed, because parsing all of lm-eval's takes 14 s.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

from gra.errors import EvalError
from gra.eval.settings import CHAT_TOKENS, PLAIN_TOKENS, Suite
from gra.eval.suite import catalogue, local_data, subset
from gra.eval.suite.plan import LocalFiles


def manager(suite: Suite, local: LocalFiles, scratch: Path) -> Any:
    """Return lm-eval's TaskManager, which finds the suite's tasks.

    For tasks that read local files, YAMLs are written to the folder `scratch`.
    """
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
            folders |= {
                str(path.parent)
                for path in [*members.tasks.values(), *members.groups.values()]
                if isinstance(path, Path)
            }
            for leaf, yaml in members.tasks.items():
                if isinstance(yaml, tuple):  # no single file holds it
                    local_data.write_yaml(local_data.LocalTask(leaf, yaml, {}), scratch)
    if any("ifeval" in name for name in leaves):
        from gra.eval.scoring import ifeval

        ifeval.prepare()
    return TaskManager(include_path=[*sorted(folders), str(scratch)], include_defaults=everything)


def tried(tasks: Any, suite: Suite, seed: int) -> tuple[list[Any], dict[str, str]]:
    """Load the suite's tasks and groups. Return them, and the reason for each skipped task.

    With `suite.skip_missing`, a task is skipped if its data are unavailable. Tasks are loaded before the model, so that
    an unreachable hub, missing rights of access and unsafe code are reported first.

    `tasks`: the TaskManager that finds the tasks.
    `seed`: the seed for tasks that shuffle the choices of their items.

    Raises EvalError for any other task that cannot be loaded, and for a task that would run model-written code in this
    process.
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
                f"{', '.join(unsafe)}: runs model-written code in this process\n"
                "    -> use humaneval_chat or mbpp_chat, which run it in a sandbox"
            )
        for leaf, task in loaded["tasks"].items():
            _settle(task, seed)
            _decode(task, leaf, suite.apply_chat_template)
            if "ifeval" in leaf and task.config.metadata is not None:
                from gra.eval.scoring import ifeval

                # recorded in results.json, as it affects verdicts
                task.config.metadata["sentence_splitter"] = ifeval.prepare()
        groups = loaded.get("groups") or {}
        objects += [groups[name]] if name in groups else loaded["tasks"].values()
    return objects, skipped


def taken(objects: list[Any], suite: Suite) -> dict[str, list[int]] | None:
    """Return, for each leaf task, the positions of the items that `suite.limit` selects, in ascending order.

    Return None if `suite.limit` is null. The limit applies to each entry of `suite.tasks`. If an entry is a group, its
    leaf tasks share the limit (subset.py).

    `objects`: the loaded tasks and groups, as the function `tried` returns them.
    """
    from lm_eval.api.group import Group

    if suite.limit is None:
        return None
    found: dict[str, list[int]] = {}
    for one in objects:
        leaves = one.get_all_tasks() if isinstance(one, Group) else [one]
        found |= subset.taken({leaf.task_name: list(leaf.eval_docs) for leaf in leaves}, suite.limit, suite.limit_seed)
    return found


def _remedy(suite: Suite) -> str:
    if suite.data_dir is not None:
        return f"fix its files in {suite.data_dir}: the records need the columns of the hub's data set"
    return (
        "without a network, set suite.data_dir to the folder of the benchmarks' files; for a gated data set (GPQA), accept its "
        "terms on the hub and set HF_TOKEN"
    )


_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # lm-eval's names, by precedence


def _decode(task: Any, leaf: str, chat: bool) -> None:
    """Set the token limit of a task's replies if its YAML sets none. In a chat, also remove the default stop text.

    Tasks that generate no replies are left unchanged. If the YAML has no `until`, lm-eval stops a reply at the
    separator of worked examples, a blank line. That suits base models, which continue with another example, but
    truncates a chat model that writes several paragraphs before its answer.
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
    """Make a task prepare its items only once.

    lm-eval prepares the items at every read, and its GPQA task shuffles the choices each time. Without this function,
    the choices could be in one order in the prompt and in another order when the reply is judged.
    """
    config = getattr(task, "config", None)
    prepare = getattr(config, "process_docs", None)
    if prepare is None:
        return
    done: dict[int, tuple[Any, Any]] = {}  # by the id of a split; the split is kept, so its id is not reused

    @functools.wraps(prepare)
    def once(split: Any) -> Any:
        if id(split) not in done:
            random.seed(seed)
            done[id(split)] = split, prepare(split)
        return done[id(split)][1]

    config.process_docs = once  # type: ignore[union-attr]
