"""Resolves which model is evaluated and checks its settings and folder without loading anything heavy."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from gra import model_folder
from gra.errors import Problem
from gra.eval.settings import EvalSettings, Model, Runtime, Suite
from gra.paths import expanded


def model_of(settings: EvalSettings, inputs: Mapping[str, Path]) -> Model:
    """Return the model's settings from the config, with the model folder of an earlier step if the config names no
    model.

    A folder becomes an absolute path, so that it is not taken for a hub id.
    """
    model = settings.model or Model()
    path = model.path or str(inputs["model"] / "model")
    return model.model_copy(update={"path": str(Path(path).resolve()) if Path(path).is_dir() else path})


def model_problems(settings: EvalSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return all faults of the model's settings and of its folder."""
    model = settings.model or Model()
    return [
        *_path_problems(model, settings, inputs),
        *_backend_problems(model, settings.runtime),
        *_reuse_problems(settings.runtime),
        *_start_problems(settings.suite, model),
    ]


def _start_problems(suite: Suite, model: Model) -> list[Problem]:
    """Return a fault if `suite.bos` is set although no prompt is rendered here with a chat template."""
    if suite.bos == "model":
        return []
    if model.backend == "server" and model.send == "messages":
        return [
            Problem(
                "suite.bos",
                "has no effect with model.send=messages: the server renders the prompts",
                "set model.send=tokens, or suite.bos=model",
            )
        ]
    if not suite.apply_chat_template:
        what = "has no effect without a chat template: the tokenizer decides, as in lm-eval"
        return [Problem("suite.bos", what, "set suite.apply_chat_template=true, or suite.bos=model")]
    return []


def _reuse_problems(runtime: Runtime) -> list[Problem]:
    missing = [name for name in runtime.reuse if not expanded(name).is_dir()]
    remedy = "list folders of other evaluations, in quotes: 'runtime.reuse=[FOLDER]'"
    return [Problem("runtime.reuse", f"no such folder: {name}", remedy) for name in missing]


def _backend_problems(model: Model, runtime: Runtime) -> list[Problem]:
    found = []
    if model.backend == "vllm" and importlib.util.find_spec("vllm") is None:
        remedy = "pip install vllm (if it conflicts, in a separate environment), or set model.backend=hf"
        found.append(Problem("model.backend", "vllm is not installed here", remedy))
    if model.backend == "vllm" and runtime.data_parallel_size > 1 and importlib.util.find_spec("ray") is None:
        remedy = "pip install ray, or set runtime.data_parallel_size=1"
        found.append(
            Problem("runtime.data_parallel_size", "more than one copy needs ray, which is not installed here", remedy)
        )
    if model.backend == "server":
        key = os.environ.get(model.api_key_env, "").strip()
        if not (key.isascii() and key.isprintable()):  # an empty key passes both tests
            what = f"the environment variable {model.api_key_env} has characters that an HTTP header cannot carry"
            found.append(Problem("model.api_key_env", what, "set it to the key and nothing else"))
    return found


def _path_problems(model: Model, settings: EvalSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    if "model" in inputs and model.path:
        return [
            Problem(
                "model.path", "is set, but an earlier step provides the model as input `model`", "remove one of the two"
            )
        ]
    if model.backend == "server" and model.send == "messages":
        missing = Problem("model.path", "no model to evaluate", "set model.path to the server's name for the model")
        return [] if model.path else [missing]
    if model.path:
        folder = Path(model.path)
        is_path = folder.is_absolute() or model.path.startswith((".", "~")) or model.path.count("/") > 1
        if is_path and not folder.exists():
            return [
                Problem("model.path", f"no such folder: {folder}", "set a model folder, or a hub id such as owner/name")
            ]
        if not folder.exists():
            return []  # a hub id
        return _folder_problems("model.path", folder, settings.suite, model, model_folder.fault(folder))
    if "model" not in inputs:
        return [
            Problem(
                "model.path",
                "no model to evaluate",
                "set model.path=FOLDER_OR_HUB_ID, or give the step an input `model`",
            )
        ]
    given = inputs["model"]
    if given is None:
        return []
    folder = given / "model"
    fault = None if model_folder.fault(folder) is None else model_folder.stage_fault(given)
    return _folder_problems("inputs.model", folder, settings.suite, model, fault)


def _folder_problems(
    key: str, folder: Path, suite: Suite, model: Model, fault: tuple[str, str] | None
) -> list[Problem]:
    """Return the faults of a model folder, reported under the config's key `key`.

    `fault`: why transformers could not load a model from the folder; None if it could. For a served model `fault` is
    ignored, because only the tokenizer is needed on this machine.
    """
    tokenizer = folder / "tokenizer_config.json"
    if model.backend == "server" and not (tokenizer.is_file() or (folder / "tokenizer.json").is_file()):
        return [Problem(key, f"no tokenizer in {folder}", "set the folder or hub id of the served model's tokenizer")]
    if model.backend != "server" and fault is not None:
        return [Problem(key, *fault)]
    has_template = (folder / "chat_template.jinja").is_file() or (
        tokenizer.is_file() and '"chat_template"' in tokenizer.read_text(encoding="utf-8", errors="replace")
    )
    if suite.apply_chat_template and not has_template:
        remedy = "set suite.apply_chat_template=false, or give the model's tokenizer a chat template"
        return [Problem("suite.apply_chat_template", f"the model has no chat template: {folder}", remedy)]
    return []
