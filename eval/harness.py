"""Drives lm-eval's Python API: the model, the tasks, one `simple_evaluate`; returns its results and samples as plain JSON."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import loading, plan, replies
from eval.backends import Backend
from eval.plan import Local
from eval.settings import EvalSettings, Model, Runtime
from eval.store import Store, stores_under
from gra.errors import EvalError

if TYPE_CHECKING:
    from eval.backends.front import Front


def evaluate(
    settings: EvalSettings, model: Model, local: Local, kept: Path, scratch: Path, progress: replies.Progress | None = None
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Run the suite on `model`. `local`: what reads files; `kept`: the file of replies; `scratch`: an empty folder.

    Returns lm-eval's results file, whole (its command line's keys, too: task_hashes, chat_template_sha ...; and what
    happened to the requests, `replies`), and its samples by leaf task, in the order of the items, each with `at_limit`: whether
    the reply ended because it had as many tokens as it might have (None: not known, or nothing was generated).

    Raises EvalError for a model or a benchmark that cannot be loaded or does not fit.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    runtime = settings.runtime
    _alone()
    with _threads(runtime.threads), _less_talk(), _quiet_git(), loading.compiled_once():
        manager = loading.manager(settings.suite, local, scratch)
        tasks, skipped = loading.tried(manager, settings.suite, settings.seed)
        suite = plan.without(settings.suite, skipped)
        taken = loading.taken(tasks, suite)
        front, backend = load(model, runtime, suite.apply_chat_template)
        tracker = EvaluationTracker()
        greedy: dict[str, Any] = {"do_sample": False, "temperature": 0.0}
        with Store(kept, stores_under(runtime.reuse)) as store, closing(backend):
            account = replies.keep(front, backend, store, _key(model, front), progress)
            found = simple_evaluate(
                model=front, model_args={"pretrained": model.path, "revision": model.revision, "dtype": model.dtype},
                tasks=tasks, task_manager=manager, evaluation_tracker=tracker,
                samples=taken, num_fewshot=suite.num_fewshot, fewshot_as_multiturn=suite.fewshot_as_multiturn,
                gen_kwargs=greedy | ({"max_gen_toks": suite.max_new_tokens} if suite.max_new_tokens else {}),
                apply_chat_template=suite.apply_chat_template, system_instruction=suite.system_instruction,
                batch_size=runtime.batch_size, device=runtime.device,
                random_seed=settings.seed, numpy_random_seed=settings.seed, torch_random_seed=settings.seed,
                fewshot_random_seed=suite.fewshot_seed, log_samples=True,
            )  # fmt: skip
    told = {
        "backend": model.backend, "rendered_by": "here" if front.renders else "server", "asked": account.asked,
        "known": account.known, "cut": dict(account.cut), "answer_limits": account.answer_limits,
        "continued": dict(account.continued), "refused": dict(account.refused),
    }  # fmt: skip
    results, samples = _whole(dict(found) | {"skipped": skipped, "replies": told}, tracker)
    results["config"] |= {"limit": suite.limit, "limit_seed": suite.limit_seed}
    ended: dict[tuple[str, int], bool | None] = {}
    for leaf, items in samples.items():
        # a request knows its item by its number among those taken, a sample by its place in the split
        for number, place in enumerate(sorted({item["doc_id"] for item in items})):
            ended[leaf, place] = account.ended.get((leaf, number))
        for item in items:
            item["at_limit"] = ended[leaf, item["doc_id"]]
    return results, samples


def load(model: Model, runtime: Runtime, chat: bool) -> tuple[Front, Backend]:
    """What renders the prompts, and what will answer them; no weights yet. Raises EvalError with the library's own words.

    `chat`: prompts come from the chat template.
    """
    from eval.backends.front import Front

    front = Front(model, chat)
    match model.backend:
        case "hf":
            from eval.backends.hf import HF

            return front, HF(model, runtime, chat, front.config, front.parameters)
        case "vllm":
            from eval.backends.offline_vllm import VLLM

            return front, VLLM(model, runtime, chat)
        case "server":
            from eval.backends.server import Server

            return front, Server(model, runtime, front)


def _key(model: Model, front: Front) -> str:
    """What answers, for the hash of a reply. A server's model is known by its name and version, its address may change."""
    how: list[Any] = [model.backend, front.chat]
    if model.backend == "server":
        how += [model.name or model.path, model.send, model.version]
    return replies.model_key(model.path, front.commit or model.revision, model.dtype, *how)


def _alone() -> None:
    """Under torchrun or accelerate each process would evaluate everything. Raises EvalError."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        raise EvalError(
            f"started as one of {os.environ['WORLD_SIZE']} processes: an evaluation takes all GPUs by itself\n"
            "    -> start it once, without torchrun or accelerate; runtime.processes says how many GPUs it takes"
        )


def _whole(found: dict[str, Any], tracker: Any) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """What lm-eval's command line would have written: the results with the tracker's fields, and the samples."""
    from lm_eval.utils import handle_non_serializable, hash_string

    samples = {task: sorted(items, key=lambda item: item["doc_id"]) for task, items in found.pop("samples").items()}
    tracker.general_config_tracker.log_end_time()
    found["task_hashes"] = {
        task: hash_string("".join(item["doc_hash"] + item["prompt_hash"] + item["target_hash"] for item in items))
        for task, items in samples.items()
    }
    found |= asdict(tracker.general_config_tracker)
    plain = json.loads(json.dumps([found, samples], default=handle_non_serializable))
    return tuple(_finite(part) for part in plain)  # type: ignore[return-value]


def _finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


@contextmanager
def _quiet_git() -> Iterator[None]:
    """lm-eval asks git for the commit of the current folder, whose complaint would stand on the terminal where that is none."""
    from lm_eval import evaluator

    before = evaluator.get_git_commit_hash
    evaluator.get_git_commit_hash = _commit
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = before


def _commit() -> str | None:
    """What `git describe --always` says of the current folder; None outside a repository and where there is no git."""
    try:
        told = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    return told.stdout.strip() or None if told.returncode == 0 else None


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _less_talk() -> Iterator[None]:
    """lm-eval warns of things that are as they should be (a model object, data of our own); its errors still show."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
