"""transformers_local end to end on a tiny random model, and `transformers serve` behind openai_server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gra.errors import ConfigError, ServerError
from gra.models.base import Reply, Request
from gra.models.local import transformers
from gra.models.openai import backend as openai_server
from gra.synthesis.prompts.schemas import ResponseReview, json_schema


def ask(
    text: str, *, model: str = "tiny", temperature: float = 0.0, tokens: int = 12, seed: int = 1, **more: Any
) -> Request:
    messages = ({"role": "system", "content": "Be short."}, {"role": "user", "content": text})
    return Request(model, messages, temperature, more.pop("top_p", 0.9), tokens, seed, **more)


def replies(
    folder: Path, requests: Sequence[Request], *, at_once: int = 1, names: Sequence[str] = ("tiny",), **pool: Any
) -> list[Reply]:
    async def run() -> list[Reply]:
        models = [{"name": name, "model": str(folder)} for name in names]
        slots = asyncio.Semaphore(at_once)
        async with transformers.connect({"_target_": "-", "models": models, **pool}, {}) as backend:

            async def one(request: Request) -> Reply:
                async with slots:
                    return await backend.chat(request)

            return await asyncio.gather(*map(one, requests))

    return asyncio.run(run())


def mixed(count: int) -> list[Request]:
    return [
        ask(f"Say {i} " + "more " * (i % 5), temperature=0.8 * (i % 2), tokens=6 + i % 3, seed=i) for i in range(count)
    ]


def test_same_replies_at_any_concurrency(tiny_chat_model: Path) -> None:
    one = replies(tiny_chat_model, mixed(16))
    assert one == replies(tiny_chat_model, mixed(16), at_once=16)
    assert one == replies(tiny_chat_model, mixed(16)[::-1], at_once=3)[::-1]
    assert all(reply.error is None and reply.tokens_in and reply.tokens_out for reply in one)
    assert all(reply.tokens_out <= 8 and reply.finish in ("stop", "length") for reply in one if reply.tokens_out)
    assert len({reply.text for reply in one}) > 8


def test_batches_keep_each_rows_seed_and_length(tiny_chat_model: Path) -> None:
    one, together = replies(tiny_chat_model, mixed(16)), replies(tiny_chat_model, mixed(16), at_once=16, batch=8)
    assert [r.tokens_in for r in one] == [r.tokens_in for r in together]
    same = sum(a == b for a, b in zip(one, together, strict=True))
    assert same >= 12  # rounding may change a word here and there


def test_seeds_and_temperatures_matter(tiny_chat_model: Path) -> None:
    drawn = replies(tiny_chat_model, [ask("Hi", temperature=1.5, seed=s) for s in (1, 2, 3, 1)])
    assert drawn[0] == drawn[3]
    assert len({reply.text for reply in drawn}) == 3
    greedy = replies(tiny_chat_model, [ask("Hi", seed=1), ask("Hi", seed=2), ask("Hi", temperature=2.0, top_p=1e-9)])
    assert greedy[0] == greedy[1] == greedy[2]


def test_sampling_follows_the_softmax() -> None:
    import torch

    from gra.models.local.generation import _Rows

    logits = torch.tensor([[2.0, 1.0, 0.0, -3.0]])
    rows = _Rows([ask("x", temperature=2.0, top_p=1.0, seed=5)], [None], 0, [])
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[rows(torch.empty(1, 0, dtype=torch.long), logits).argmax(-1)] += 1  # type: ignore[arg-type]
    assert torch.allclose(counts / 4000, (logits[0] / 2).softmax(-1), atol=0.03)


def test_context_too_long_is_a_refusal(tiny_chat_model: Path) -> None:
    reply, fits = replies(tiny_chat_model, [ask("word " * 4000), ask("Hi")], at_once=2, batch=2)
    assert "context too long" in str(reply.error)
    assert fits.error is None


def test_models_by_turns(tiny_chat_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gra.models.local import generation

    loads: list[str] = []
    load = generation.LocalModel.__init__

    def counted(self: Any, spec: Any, **options: Any) -> None:
        loads.append(spec.name)
        load(self, spec, **options)

    monkeypatch.setattr(generation.LocalModel, "__init__", counted)
    requests = [ask(str(i), model="ab"[i % 2], tokens=2) for i in range(12)]
    one = replies(tiny_chat_model, requests, at_once=12, names="ab")
    assert sorted(loads) == ["a", "b"]
    assert one == replies(tiny_chat_model, requests, names="ab", max_loaded=2)


def test_clear_errors(tmp_path: Path, bare_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json"):
        replies(tmp_path, [ask("x")])
    with pytest.raises(ServerError, match=r"model `tiny`: cannot load no-such/model"):
        replies(Path("no-such/model"), [ask("x")])
    with pytest.raises(ServerError, match="no chat template"):
        replies(bare_model, [ask("x")])


def test_closing_cancels_what_is_waiting_and_under_way(tiny_chat_model: Path) -> None:
    async def run() -> list[asyncio.Task[Reply]]:
        models = [{"name": "tiny", "model": str(tiny_chat_model)}]
        async with transformers.connect({"_target_": "-", "models": models}, {}) as backend:
            calls = [
                asyncio.create_task(backend.chat(ask(str(i), tokens=3900, temperature=3.0, seed=i))) for i in range(60)
            ]
            await calls[0]
        await asyncio.gather(*calls, return_exceptions=True)
        return calls

    calls = asyncio.run(asyncio.wait_for(run(), 30))
    cancelled = [call.cancelled() for call in calls]
    assert not cancelled[0]
    assert all(cancelled[2:])


def test_schema_is_kept_to(tiny_chat_model: Path) -> None:
    pytest.importorskip("llguidance", reason="the extra for structured replies is not installed")
    schema = json_schema("review")
    assert schema
    for name in ("strengths", "weaknesses"):
        schema["properties"][name]["maxLength"] = 20
    requests = [ask("Rate", temperature=0.7, tokens=400, seed=i, schema_name="review", schema=schema) for i in range(4)]
    found = replies(tiny_chat_model, requests, at_once=4, batch=4)
    assert all(ResponseReview.model_validate_json(reply.text) for reply in found)


def test_schema_without_llguidance_is_asked_in_plain_text(
    tiny_chat_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance.hf", None)
    plain, asked = ask("Rate"), [ask("Rate", schema_name="review", schema=json_schema("review"))] * 2
    assert replies(tiny_chat_model, [plain, *asked]) == replies(tiny_chat_model, [plain] * 3)
    assert caplog.text.count("llguidance is not installed") == 1


@pytest.mark.slow
def test_transformers_serve_takes_a_schema_and_ignores_it(transformers_serve: Any) -> None:
    async def run() -> list[Reply]:
        models = [{"name": "tiny", "model": transformers_serve.model}]
        pool = {"_target_": "-", "models": models, "base_url": transformers_serve.base_url}
        async with openai_server.connect(pool, {}) as backend:
            asks = [ask("Rate", schema_name="review", schema=json_schema("review"), temperature=t) for t in (0.0, 0.9)]
            return [await backend.chat(request) for request in asks]

    for reply in asyncio.run(run()):
        assert reply.error is None
        assert reply.tokens_out
        with pytest.raises(json.JSONDecodeError):
            json.loads(reply.text)


def test_a_given_text_is_as_likely_as_the_models_own_loss_says(tiny_chat_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = (kind.from_pretrained(tiny_chat_model) for kind in (AutoTokenizer, AutoModelForCausalLM))
    asked = [ask(f"Say {i}", tokens=tokens, forced="some given words") for i, tokens in enumerate((48, 48, 3))]
    together = replies(tiny_chat_model, [*asked, ask("Say it")], at_once=4, batch=4)
    assert together[:3] == replies(tiny_chat_model, asked)  # not by the batch
    assert together[3].logprob is None
    for request, reply in zip(asked, together, strict=False):
        messages = [dict(message) for message in request.messages]
        prompt = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)["input_ids"]
        text = tokenizer(request.forced, add_special_tokens=False)["input_ids"][: request.max_tokens]
        with torch.no_grad():
            loss = model(torch.tensor([prompt + text]), labels=torch.tensor([[-100] * len(prompt) + text])).loss
        assert reply.logprob == pytest.approx(-float(loss), rel=1e-4)
        assert (reply.text, reply.tokens_out) == ("", len(text))
