"""Processes, devices and batches of an evaluation."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from test_eval_backends import GREEDY, Request, Run

from gra.errors import EvalError
from gra.eval.backends import ModelRequest
from gra.eval.backends.front import HarnessModel
from gra.eval.backends.hf import HF, LocalModel, devices
from gra.eval.backends.server import ServerModel
from gra.eval.inference import cached
from gra.eval.inference.harness import load
from gra.eval.inference.reply_store import NAME, ReplyStore
from gra.eval.settings import EvalSettings, Model, Runtime
from gra.eval.suite.model_check import model_problems
from gra.settings import parse


@pytest.mark.slow
def test_one_process_or_two_give_the_same_and_a_dead_one_is_told(tiny_chat_model: Path, tmp_path: Path) -> None:
    model = Model(path=str(tiny_chat_model))
    prompts = [f"prompt {'word ' * (n % 7)}{n}" for n in range(22)]
    one = Run(tmp_path / "one", model, Runtime(device="cpu", batch_size=4, threads=1))
    lm, backend = load(model, Runtime(device="cpu", batch_size=4, threads=1, processes=2), False)
    assert isinstance(backend, HF)
    with ReplyStore(tmp_path / NAME) as store:
        cached.keep(lm, backend, store, "m")
        two = lm.generate_until([Request((prompt, GREEDY)) for prompt in prompts])
        assert two == one(prompts)
        pairs = [(prompt, word) for prompt in prompts[:6] for word in (" is", " answer")]
        assert lm.loglikelihood([Request(pair) for pair in pairs]) == one(pairs, "loglikelihood")

        assert backend._others is not None
        with pytest.raises(EvalError, match=r"the model on cpu: failed(.|\n)*AttributeError"):
            backend._others.answer("no_such_kind", [[ModelRequest("k", "t", ("a", GREEDY))]], lambda *_: None)
        (worker, _), *_rest = backend._others._workers.values()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(EvalError, match=r"the process with the model on cpu ended \(exit code -9(.|\n)*to resume"):
            lm.generate_until([Request((f"new {prompt}", GREEDY)) for prompt in prompts])
    workers = [worker for worker, _ in backend._others._workers.values()]
    backend.close()
    assert not any(worker.is_alive() for worker in workers)


def test_a_batch_that_does_not_fit_is_halved(
    tiny_chat_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    import torch
    from transformers import GenerationMixin

    local = LocalModel(Model(path=str(tiny_chat_model)), False, "cpu")
    asks = [ModelRequest(str(n), "a_task", (f"prompt {n}", GREEDY), tuple(range(n))) for n in range(5)]
    expected = [local.answer("generate_until", [ask])[0] for ask in asks]
    generate, sizes, most = GenerationMixin.generate, [], [2]

    def small(self: Any, **given: Any) -> Any:
        sizes.append(len(given["input_ids"]))
        if sizes[-1] > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, **given)

    monkeypatch.setattr(GenerationMixin, "generate", small)
    assert local.answer("generate_until", asks) == expected
    assert sizes == [5, 2, 3, 1, 2]
    assert "it is split in halves" in caplog.text
    most[0] = 0
    with pytest.raises(EvalError, match=r"a_task: the GPU's memory is too small for one prompt of 4 tokens"):
        local.answer("generate_until", asks[4:])


def test_which_devices_are_taken() -> None:
    assert devices(Runtime(device="cpu")) == ["cpu"]
    assert devices(Runtime(device="cpu", processes=3)) == ["cpu"] * 3
    with pytest.raises(EvalError, match=r"runtime\.processes=2, but runtime\.device=mps"):
        devices(Runtime(device="mps", processes=2))
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(EvalError, match="no CUDA device is visible"):
            devices(Runtime(device="cuda"))


def test_models_that_cannot_be_asked_are_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_model: Path
) -> None:
    def faults(runtime: dict[str, Any] | None = None, **model: Any) -> str:
        given = {"suite": {"name": "s", "tasks": ["gsm8k"]}, "model": model, "runtime": runtime or {}}
        settings, problems = parse(EvalSettings, given)
        return "\n".join(map(str, problems if settings is None else model_problems(settings, {})))

    assert "vllm is not installed here" in faults(path="a/b", backend="vllm")
    assert "ray, which is not installed" in faults({"data_parallel_size": 2}, path="a/b", backend="vllm")
    assert "need each other" in faults(path="a/b", backend="server")
    assert "need each other" in faults(path="a/b", base_url="http://x/v1")
    assert "remove them" in faults(path="a/b", version="2")
    assert "no such folder: ~/no such folder" in faults({"reuse": ["~/no such folder", str(tmp_path)]}, path="a/b")
    assert "no model to evaluate" in faults(backend="server", base_url="http://x/v1", send="messages")
    assert faults(path="a-name", backend="server", base_url="http://x/v1", send="messages") == ""
    assert "no tokenizer in" in faults(path=str(tmp_path), backend="server", base_url="http://x/v1")
    assert "no chat template" in faults(path=str(bare_model), backend="server", base_url="http://x/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "two\nlines")
    assert "an HTTP header cannot carry" in faults(path="a/b", backend="server", base_url="http://x/v1")


def test_a_model_whose_context_nobody_knows_must_be_given_one(bare_model: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(bare_model, tmp_path / "t")
    (tmp_path / "t" / "config.json").unlink()  # a served model's tokenizer alone
    model = Model(path=str(tmp_path / "t"), backend="server", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(EvalError, match=r"set model\.max_length=N"):
        HarnessModel(model, chat=False)
    lm = HarnessModel(model.model_copy(update={"max_length": 64}), chat=False)
    assert isinstance(load(lm.model, Runtime(), False)[1], ServerModel)
    with pytest.raises(EvalError, match="no chat template"):
        HarnessModel(Model(path=str(bare_model)), chat=True)
