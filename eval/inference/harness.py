"""Runs a suite through lm-eval's Python API (`simple_evaluate`) and returns its results and samples as plain JSON."""

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

from gra.errors import EvalError
from gra.eval.backends import EvalBackend
from gra.eval.inference import cached
from gra.eval.inference.reply_store import ReplyStore, stores_under
from gra.eval.settings import EvalSettings, Model, Runtime
from gra.eval.suite import loading, plan
from gra.eval.suite.plan import LocalFiles
from gra.private_api.lm_eval import commit_from, compiled_once

if TYPE_CHECKING:
    from gra.eval.backends.front import HarnessModel


def evaluate(
    settings: EvalSettings,
    model: Model,
    local: LocalFiles,
    kept: Path,
    scratch: Path,
    progress: cached.Progress | None = None,
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Run the benchmarks of the suite on `model`, and return the results and the samples.

    `local`: the tasks whose data are read from local files instead of the hub.
    `kept`: the path of the reply store.
    `scratch`: an empty folder.

    The results are the content of lm-eval's results file. They include the keys that lm-eval's command line adds (such
    as task_hashes and chat_template_sha) and `replies`, the counts of cached.ReplyCounts.

    The samples of each leaf task are a list in the order of the items. Each sample has `at_limit`: whether the reply
    was truncated at its token limit; None if this is unknown or if nothing was generated.

    Raises EvalError if a model or benchmark cannot be loaded, or if they do not fit together.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    runtime = settings.runtime
    _alone()
    with _threads(runtime.threads), _less_talk(), commit_from(_commit), compiled_once():
        manager = loading.manager(settings.suite, local, scratch)
        tasks, skipped = loading.tried(manager, settings.suite, settings.seed)
        suite = plan.without(settings.suite, skipped)
        taken = loading.taken(tasks, suite)
        lm, backend = load(model, runtime, suite.apply_chat_template, suite.bos)
        tracker = EvaluationTracker()
        greedy: dict[str, Any] = {"do_sample": False, "temperature": 0.0}
        with ReplyStore(kept, stores_under(runtime.reuse)) as store, closing(backend):
            counts = cached.keep(lm, backend, store, _key(model, lm), progress)
            found = simple_evaluate(
                model=lm,
                model_args={"pretrained": model.path, "revision": model.revision, "dtype": model.dtype},
                tasks=tasks,
                task_manager=manager,
                evaluation_tracker=tracker,
                samples=taken,
                num_fewshot=suite.num_fewshot,
                fewshot_as_multiturn=suite.fewshot_as_multiturn,
                gen_kwargs=greedy | ({"max_gen_toks": suite.max_new_tokens} if suite.max_new_tokens else {}),
                apply_chat_template=suite.apply_chat_template,
                system_instruction=suite.system_instruction,
                batch_size=runtime.batch_size,
                device=runtime.device,
                random_seed=settings.seed,
                numpy_random_seed=settings.seed,
                torch_random_seed=settings.seed,
                fewshot_random_seed=suite.fewshot_seed,
                log_samples=True,
            )
    replies = {
        "backend": model.backend,
        "rendered_by": "here" if lm.renders else "server",
        "asked": counts.sent,
        "known": counts.known,
        "cut": dict(counts.cut),
        "answer_limits": counts.answer_limits,
        "continued": dict(counts.continued),
        "refused": dict(counts.refused),
    }
    results, samples = _whole(dict(found) | {"skipped": skipped, "replies": replies}, tracker)
    if suite.bos != "model":
        results["bos"] = suite.bos
    results["config"] |= {"limit": suite.limit, "limit_seed": suite.limit_seed}
    ended: dict[tuple[str, int], bool | None] = {}
    for leaf, items in samples.items():
        # A request has its item's number among the evaluated items; a sample has its item's position in the split.
        for number, place in enumerate(sorted({item["doc_id"] for item in items})):
            ended[leaf, place] = counts.ended.get((leaf, number))
        for item in items:
            item["at_limit"] = ended[leaf, item["doc_id"]]
    return results, samples


def load(model: Model, runtime: Runtime, chat: bool, bos: str = "model") -> tuple[HarnessModel, EvalBackend]:
    """Return the object that renders prompts for lm-eval, and the backend that runs the model.

    No weights are loaded yet.

    `chat`: whether prompts are rendered with the chat template.
    `bos`: the setting `suite.bos`.

    Raises EvalError with the library's message if the model cannot be loaded.
    """
    from gra.eval.backends.front import HarnessModel

    lm = HarnessModel(model, chat, bos)
    match model.backend:
        case "hf":
            from gra.eval.backends.hf import HF

            return lm, HF(model, runtime, chat, lm.config, lm.parameters)
        case "vllm":
            from gra.eval.backends.offline_vllm import VLLM

            return lm, VLLM(model, runtime, chat)
        case "server":
            from gra.eval.backends.server import ServerModel

            return lm, ServerModel(model, runtime, lm)


def _key(model: Model, lm: HarnessModel) -> str:
    """Return the model's part of a reply's key. A served model is identified by its name and version, so its address may change."""
    how: list[Any] = [model.backend, lm.chat]
    if model.backend == "server":
        how += [model.name or model.path, model.send, model.version]
    return cached.model_key(model.path, lm.commit or model.revision, model.dtype, *how)


def _alone() -> None:
    """Raise EvalError under torchrun or accelerate, where every process would evaluate everything."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        raise EvalError(
            f"started as one of {os.environ['WORLD_SIZE']} processes, but one evaluation process uses all GPUs\n"
            "    -> start it once, without torchrun or accelerate; runtime.processes sets the number of GPUs"
        )


def _whole(found: dict[str, Any], tracker: Any) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Return the results with the tracker's fields, and the samples, as lm-eval's command line writes them."""
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
    """Return the value with NaN and infinities, which JSON lacks, replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _commit() -> str | None:
    """Return `git describe --always` of the current folder; None outside a repository or without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always"], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


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
    """Hide lm-eval's warnings, which concern intended choices (a model object, local data). Its errors are still shown."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
