"""Drives lm-eval's Python API: the model, the tasks, one `simple_evaluate`; returns its results and samples as plain JSON."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval import catalogue, local_data, replies
from eval.local_data import LocalTask
from eval.settings import EvalSettings, Model, Runtime
from gra.errors import EvalError

CPU_BATCH = 64  # of the tiny models that run on a CPU; measured: larger ones gain nothing there


def evaluate(
    settings: EvalSettings, model: Model, local: Sequence[LocalTask], kept: Path, scratch: Path
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]] | None:
    """Run the suite on `model`. `local`: the tasks that read files; `kept`: folder of replies; `scratch`: an empty folder.

    Returns lm-eval's results file, whole (its command line's keys, too: task_hashes, chat_template_sha ...), and its
    samples by leaf task, in the order of the items; None in all but the first process of a group that shares the items
    (torchrun, accelerate). Raises EvalError for a model or a benchmark that cannot be loaded or does not fit.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    suite = settings.suite
    for task in local:
        local_data.write_yaml(task, scratch)
    with _threads(settings.runtime.threads), _less_talk():
        lm = load(model, settings.runtime, suite.apply_chat_template)
        _check_model(lm, suite.max_new_tokens, suite.apply_chat_template, model.path)
        replies.keep(lm, kept, replies.model_key(model.path, model.revision, model.dtype))
        here = {task.name for task in local}
        ours = {str(catalogue.own()[name].parent) for name in suite.tasks if name in catalogue.own() and name not in here}
        manager = TaskManager(include_path=[str(scratch), *sorted(ours)], include_defaults=not here.issuperset(suite.tasks))
        tracker = EvaluationTracker()
        greedy: dict[str, Any] = {"do_sample": False, "temperature": 0.0}
        _try_tasks(manager, list(suite.tasks))
        found = simple_evaluate(
            model=lm, model_args={"pretrained": model.path, "revision": model.revision, "dtype": model.dtype},
            tasks=list(suite.tasks), task_manager=manager, evaluation_tracker=tracker,
            limit=suite.limit, num_fewshot=suite.num_fewshot, fewshot_as_multiturn=suite.fewshot_as_multiturn,
            gen_kwargs=greedy | ({"max_gen_toks": suite.max_new_tokens} if suite.max_new_tokens else {}),
            apply_chat_template=suite.apply_chat_template, system_instruction=suite.system_instruction,
            batch_size=lm.batch_size, device=str(lm.device),
            random_seed=settings.seed, numpy_random_seed=settings.seed, torch_random_seed=settings.seed,
            fewshot_random_seed=suite.fewshot_seed, log_samples=True,
        )  # fmt: skip
    return _whole(dict(found), tracker) if found is not None else None


def load(model: Model, runtime: Runtime, chat: bool) -> Any:
    """lm-eval's HFLM on the model, on the device that was asked for. Raises EvalError with the library's own words.

    `chat`: prompts come from the chat template, which writes a beginning-of-text token itself where it wants one; the tokenizer
    is then kept from adding one (Llama 3's does), which the model has not seen there in training (train/data.py).
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    device = runtime.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EvalError(f"runtime.device={device}: no CUDA device is visible here: set runtime.device=cpu or auto")
    batch: int | str = runtime.batch_size
    if batch == "auto" and not device.startswith("cuda"):
        batch = CPU_BATCH
    try:
        return HFLM(
            pretrained=model.path, revision=model.revision, dtype=model.dtype, device=device, batch_size=batch,
            trust_remote_code=model.trust_remote_code, add_bos_token=False if chat else None,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise EvalError(
            f"model {model.path}: cannot be loaded: {error}\n"
            "    -> give a folder that AutoModelForCausalLM and AutoTokenizer open, or a hub id"
        ) from error


def _try_tasks(manager: Any, tasks: list[str]) -> None:
    """Load the tasks once, so that what goes wrong there (the hub, names, unsafe code) is told apart from faults of the run."""
    try:
        loaded = manager.load(tasks)["tasks"]
    except (OSError, KeyError, ValueError) as error:
        raise EvalError(
            f"lm-eval could not load {', '.join(tasks)}: {type(error).__name__}: {error}\n"
            "    -> with no network, set suite.data_dir to the folder of the benchmarks' files; else leave that task out"
        ) from error
    unsafe = [name for name, task in loaded.items() if getattr(task, "UNSAFE_CODE", False)]
    if unsafe:
        names = ", ".join(unsafe)
        raise EvalError(f"{names}: run model-written code in this process: take humaneval_chat, mbpp_chat, which have a sandbox")


def _check_model(lm: Any, max_new_tokens: int | None, chat: bool, path: str) -> None:
    if chat and not lm.tokenizer.chat_template:
        raise EvalError(f"model {path}: its tokenizer has no chat template: set suite.apply_chat_template=false, or give it one")
    if max_new_tokens is not None and max_new_tokens >= lm.max_length:
        raise EvalError(
            f"suite.max_new_tokens={max_new_tokens} leaves no room for a prompt: model {path} reads {lm.max_length} tokens in all\n"
            "    -> set a smaller number"
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
