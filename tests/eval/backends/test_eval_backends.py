"""What can go wrong between the evaluation and what answers it, on a real socket, real processes and a tiny model."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from completions_site import Behaviour, Site, answering, nonsense, reset, said_to, says, serving, well

from gra.errors import EvalError
from gra.eval.backends import ModelRequest, processes
from gra.eval.backends.front import HarnessModel
from gra.eval.backends.hf import LocalModel
from gra.eval.inference import cached
from gra.eval.inference.harness import load
from gra.eval.inference.reply_store import NAME, ReplyStore
from gra.eval.settings import Model, Runtime

GREEDY = {"until": ["\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 8}
KEY = "sk-a-secret-of-this-test"


@dataclass(frozen=True)
class Request:
    """As much of lm-eval's Instance as models look at."""

    args: tuple[Any, ...]
    task_name: str = "a_task"
    doc_id: int = 7


@dataclass
class Run:
    """Asks a model through `replies.keep`, with its store in `folder`."""

    folder: Path
    model: Model
    runtime: Runtime
    chat: bool = False
    account: cached.ReplyCounts = field(default_factory=cached.ReplyCounts)
    progress: list[tuple[int, int, str]] = field(default_factory=list)

    def __call__(self, prompts: list[Any], kind: str = "generate_until", **decoding: Any) -> list[Any]:
        lm, backend = load(self.model, self.runtime, self.chat)
        try:
            with ReplyStore(self.folder / NAME) as store:
                self.account = cached.keep(lm, backend, store, "m", lambda *told: self.progress.append(told))
                more = (GREEDY | decoding,) if kind == "generate_until" else ()
                made = [Request((prompt, *more) if isinstance(prompt, str) else prompt) for prompt in prompts]
                return list(getattr(lm, kind)(made))
        finally:
            backend.close()


def asking(site: Site, model: Path, folder: Path, runtime: dict[str, Any] | None = None, **given: Any) -> Run:
    settings = Model(path=str(model), backend="server", base_url=site.url, name="m", **given)
    return Run(folder, settings, Runtime(**{"concurrency": 8, "retries": 3} | (runtime or {})))


PROMPTS = [f"prompt number {n}" for n in range(30)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts are short."""
    monkeypatch.setattr("gra.eval.backends.server.backoff", lambda attempt: 0.01 * attempt)


def by_turns(*behaviours: Behaviour) -> Behaviour:
    """The first time that a prompt is sent, it meets one of `behaviours`; afterwards all is well."""
    met: set[str] = set()

    async def behave(request: web.Request, body: dict[str, Any], n: int) -> web.StreamResponse:
        text = json.dumps(body["prompt"])
        if text in met:
            return await well(request, body, n)
        met.add(text)
        return await behaviours[len(met) % len(behaviours)](request, body, n)

    return behave


def test_a_server_on_a_bad_day_is_asked_until_it_answers(tiny_chat_model: Path, tmp_path: Path) -> None:
    with serving(by_turns(answering(429, Retry_After="0.02"), answering(503), reset, nonsense, well)) as site:
        run = asking(site, tiny_chat_model, tmp_path)
        found = run([*PROMPTS, *PROMPTS[:5]])
        asked = len(site.bodies)
        assert found == [said_to(body).partition("<|im_end|>")[0] for body in _bodies_of(run, [*PROMPTS, *PROMPTS[:5]])]
        assert len(PROMPTS) < asked < 3 * len(PROMPTS)
        assert (run.account.sent, run.account.known) == (30, 0)
        assert run([*PROMPTS, "one more"])[:-1] == found[:30]
        assert len({json.dumps(body["prompt"]) for body in site.bodies[asked:]}) == 1  # the others are kept
        assert (run.account.sent, run.account.known) == (1, 30)
    assert run.progress[0] == (0, 35, "a_task")
    assert run.progress[-3:] == [(35, 35, "a_task"), (30, 31, "a_task"), (31, 31, "a_task")]


def _bodies_of(run: Run, prompts: list[str]) -> list[dict[str, Any]]:
    lm = HarnessModel(run.model, run.chat)
    return [{"prompt": [ids]} for ids in lm.tokens(prompts)]


def test_a_server_that_goes_away_ends_the_run_and_what_it_said_is_kept(tiny_chat_model: Path, tmp_path: Path) -> None:
    async def dies(request: web.Request, body: dict[str, Any], n: int) -> web.StreamResponse:
        return await (well if n < 12 else reset)(request, body, n)

    with serving(dies) as site:
        run = asking(site, tiny_chat_model, tmp_path)
        with pytest.raises(
            EvalError, match=rf"server {site.url}, model m: the connection broke(.|\n)*the replies so far are kept"
        ):
            run(PROMPTS)
    with serving() as site:
        again = asking(site, tiny_chat_model, tmp_path)
        again(PROMPTS)
        assert (again.account.known, again.account.sent) == (12, 18)
        assert len(site.bodies) == 18
    with pytest.raises(EvalError, match="cannot connect"):  # nobody listens any more
        asking(site, tiny_chat_model, tmp_path / "other")(PROMPTS[:1])


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (answering(404, "no such model"), r"HTTP 404: no such model(.|\n)*model\.name to one of its models \(a, b\)"),
        (answering(401, "who are you"), r"HTTP 401(.|\n)*MY_KEY"),
        (
            answering(400, "maximum context length is 64"),
            r"refused 3 of 3 requests(.|\n)*item 7: \d+ tokens and a reply of up to 8 tokens: HTTP 400: maximum context"
            r"(.|\n)*max_length",
        ),
        (answering(302, "elsewhere"), r"HTTP 302(.|\n)*model\.base_url"),
        (answering(500, "\x1b[31mred"), r"HTTP 500: .\[31mred \(4 attempts\)"),
        (nonsense, r"malformed reply \(\w+"),
    ],
)
def test_what_no_patience_helps_is_told_with_what_to_do(
    behave: Behaviour, words: str, tiny_chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(behave, models=("a", "b")) as site, pytest.raises(EvalError, match=words) as told:
        asking(site, tiny_chat_model, tmp_path, api_key_env="MY_KEY")(PROMPTS[:3])
    assert "\x1b" not in str(told.value)
    assert site.keys[0] == f"Bearer {KEY}"
    assert KEY not in str(told.value) + caplog.text
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    if "HTTP 4" in words:
        assert len(site.bodies) <= 3  # nothing is asked twice


def test_a_prompt_that_is_refused_for_good_does_not_stop_the_others(
    tiny_chat_model: Path, tmp_path: Path, caplog: Any
) -> None:
    refusing = {
        3: answering(400, "content filter"),
        11: answering(500, "on fire"),
        17: nonsense,
        23: answering(422, "too long"),
    }

    async def behave(request: web.Request, body: dict[str, Any], n: int) -> web.StreamResponse:
        number = int(text_of(body["prompt"][0], tiny_chat_model).split()[-1])
        return await refusing.get(number, well)(request, body, n)

    with serving(behave) as site:
        run = asking(site, tiny_chat_model, tmp_path)
        with pytest.raises(
            EvalError, match=r"refused 4 of 30 requests; the replies so far are kept(.|\n)*a_task, item 7"
        ) as told:
            run(PROMPTS)
        assert "and 1 more" in str(told.value)
        assert f"'runtime.reuse=[{tmp_path}]'" in str(told.value)
        before = len(site.bodies)
        again = asking(site, tiny_chat_model, tmp_path, refused="empty")
        found = again(PROMPTS)
        assert len(site.bodies) - before == 2 + 2 * 4  # the four alone, two of them with their repetitions
    assert [n for n, reply in enumerate(found) if not reply] == sorted(refusing)
    assert (again.account.known, again.account.refused) == (26, {"a_task": 4})
    assert "counted as empty replies: a_task 4 of 30" in caplog.text
    assert again.progress[-1] == (30, 30, "a_task")
    with (
        serving(answering(400, "no")) as site,
        pytest.raises(EvalError, match="refused 3 of 3"),
    ):  # no score out of nothing
        asking(site, tiny_chat_model, tmp_path / "none", refused="empty")(PROMPTS[:3])
    with (
        serving(answering(503, "down")) as site,
        pytest.raises(EvalError, match="refused 50 of 100"),
    ):  # a broken server ends soon
        asking(site, tiny_chat_model, tmp_path / "down", {"retries": 0}, refused="empty")(
            [f"prompt {n}" for n in range(100)]
        )


def test_memory_that_is_too_small_for_the_weights_is_told(
    tiny_chat_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from lm_eval.models import huggingface

    def full(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(huggingface, "HFLM", full)
    with pytest.raises(EvalError, match=r"cannot be loaded on cpu: CUDA out of memory(.|\n)*model\.dtype=bfloat16"):
        LocalModel(Model(path=str(tiny_chat_model)), False, "cpu")


def test_cpu_threads_are_of_the_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 9, 11}, raising=False)
    assert processes._cores() == 3


def test_a_prompt_without_room_is_cut_as_lm_eval_cuts_it_and_counted(
    tiny_chat_model: Path, tmp_path: Path, caplog: Any
) -> None:
    from lm_eval.models.huggingface import HFLM

    prompts = ["short", "The answer to 1 plus 2 is 3 " * 40]
    with serving() as site:
        run = asking(site, tiny_chat_model, tmp_path / "server", max_length=64)
        run(prompts)
        long, short = (body["prompt"][0] for body in site.bodies)
        assert run.account.cut == {"a_task": 1}
        assert "prompts shortened at their start to fit the model's 64 tokens: a_task 1 of 2" in caplog.text
        text = asking(site, tiny_chat_model, tmp_path / "text", max_length=64, send="text")
        text(prompts)
        assert site.bodies[2]["prompt"] == text_of(long, tiny_chat_model)
    lm = HarnessModel(run.model, False)
    assert [short, long] == [lm.tokens(prompts)[0], lm.tokens(prompts)[1][-56:]]

    here = Run(
        tmp_path / "hf", Model(path=str(tiny_chat_model), max_length=64), Runtime(device="cpu", batch_size=2, threads=1)
    )
    alone = HFLM(pretrained=str(tiny_chat_model), device="cpu", batch_size=2, max_length=64)
    assert here(prompts) == alone.generate_until([Request((prompt, GREEDY)) for prompt in prompts])
    assert here.account.cut == {"a_task": 1}
    assert here(prompts) == here(prompts)
    assert (here.account.known, here.account.cut) == (2, {"a_task": 1})  # also when nothing is asked
    assert run.account.answer_limits == {}


def text_of(ids: list[int], model: Path) -> str:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    return str(tokenizer.decode(ids))


def test_log_likelihoods_of_a_server(tiny_chat_model: Path, tmp_path: Path) -> None:
    async def echo(_request: web.Request, body: dict[str, Any], _n: int) -> web.StreamResponse:
        ids = body["prompt"][0]
        assert (body["echo"], body["max_tokens"], body["logprobs"]) == (True, 1, 1)
        given = [None, *(-float(token) for token in ids[1:]), -99.0]
        top = [None, *({"x": -float(token)} for token in ids[1:]), {"x": -99.0}]
        return web.json_response(
            {"choices": [{"index": 0, "text": "", "logprobs": {"token_logprobs": given, "top_logprobs": top}}]}
        )

    pairs = [("The answer to 1 plus 2", " is 3"), ("The answer to 1 plus 2", " is 5")]
    with serving(echo) as site:
        run = asking(site, tiny_chat_model, tmp_path)
        lm = HarnessModel(run.model, False)
        tails = [tail for _, tail in lm.pairs([ModelRequest("k", "t", pair) for pair in pairs])]
        assert run(pairs, "loglikelihood") == [(-float(sum(tail)), True) for tail in tails]
        with pytest.raises(
            EvalError, match=r"does not provide log-likelihoods of this kind(.|\n)*model\.backend=hf or vllm"
        ):
            run(["text"], "loglikelihood_rolling")
        talk = asking(site, tiny_chat_model, tmp_path, send="messages")
        talk.chat = True
        with pytest.raises(EvalError, match=r"does not provide log-likelihoods of this kind(.|\n)*model\.send=tokens"):
            talk(pairs, "loglikelihood")
    with serving() as site, pytest.raises(EvalError, match="does not return log-likelihoods of a prompt"):
        asking(site, tiny_chat_model, tmp_path / "plain")(pairs, "loglikelihood")


def test_odd_replies_are_only_replies(tiny_chat_model: Path, tmp_path: Path) -> None:
    odd = ["", "\x00\x1b[31m", "half \ud83d", "stop here\nnot this", "x" * 1_000_000, None]

    async def behave(_request: web.Request, body: dict[str, Any], _n: int) -> web.StreamResponse:
        text = odd[int(text_of(body["prompt"][0], tiny_chat_model).rpartition(" ")[2])]
        return web.Response(text=json.dumps(says(text)), content_type="application/json")  # type: ignore[arg-type]

    with serving(behave) as site:
        found = asking(site, tiny_chat_model, tmp_path)([f"prompt {n}" for n in range(len(odd))])
    assert found == ["", "\x00\x1b[31m", "half \ufffd", "stop here", "x" * 1_000_000, ""]


@pytest.fixture(scope="module", autouse=True)
def no_loop_is_left() -> Iterator[None]:
    """asyncio.run leaves no event loop behind; later tests may want one."""
    yield
    asyncio.set_event_loop_policy(None)
