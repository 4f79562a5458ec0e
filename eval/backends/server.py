"""Backend `server`: any OpenAI-compatible server; the bodies are lm-eval's (local-completions, local-chat-completions).

The calls are not: lm-eval sends a refused request again as if it were a passing fault, ends all calls at the first that stays
without an answer, and logs the request's headers, and so the key, with every HTTP error. The tokens that are sent are those
that the other backends feed to the model; a server that is sent text makes its own of it, and is told whether to put a
beginning-of-text token first (`add_special_tokens`). A talk that ends in the reply's beginning is sent with
`continue_final_message`; both fields are vLLM's, the latter SGLang's too. A request that is refused whatever is done ends nothing:
it is told as a Refusal.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from eval.backends import Ask, Refusal, Reply, Told, batches, continues
from eval.backends.front import Front
from eval.settings import Model, Runtime
from gra import waiting
from gra.errors import EvalError
from gra.models.chat_wire import listed_models, said
from gra.models.finish import normal
from gra.models.http_client import Answer, Fault, Limits, Session
from gra.models.http_retry import backoff, retry_after
from gra.wellformed import printable, well_formed

CONNECT_S = 20.0
PATIENCE_S = 300.0  # 429 does not count as an attempt while the server answered something so long ago
_PASSING = (408, 409, 425, 429)  # and all 5xx
_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, AssertionError)  # of a reply that is none
log = logging.getLogger(__name__)


class Server:
    """A `backends.Backend`. The key is read from the environment here, and is in no message."""

    def __init__(self, model: Model, runtime: Runtime, front: Front):
        from lm_eval.models import openai_completions as wire

        self._model, self._runtime, self._front = model, runtime, front
        self._name, self._base = model.name or model.path, str(model.base_url).rstrip("/")
        chat = model.send == "messages"
        self._url = f"{self._base}/{'chat/completions' if chat else 'completions'}"
        form = wire.LocalChatCompletion if chat else wire.LocalCompletionsAPI
        # Of lm-eval's class only the bodies are used, and it would open the tokenizer once more.
        self._wire = form(base_url=self._url, model=self._name, tokenizer_backend=None)
        self._wire.tokenized_requests = model.send == "tokens"
        self._answered_at = float("-inf")

    def cut(self, kind: str, asks: Sequence[Ask]) -> list[list[Ask]]:
        """All in one, so that the server always has something to do; each reply is kept as it comes."""
        cut = batches.likelihoods if kind == "loglikelihood" else batches.generations
        return [[ask for piece in cut(asks, batches.always(1)) for ask in piece]]

    def answer(self, kind: str, pieces: Sequence[Sequence[Ask]], told: Told) -> None:
        """See backends.Backend."""
        if kind == "loglikelihood_rolling" or (kind == "loglikelihood" and self._model.send == "messages"):
            how = (
                "model.backend=hf or vllm"
                if kind.endswith("rolling")
                else "model.send=tokens, where the server has /v1/completions"
            )
            raise EvalError(f"{self._at}: no log-likelihoods of this kind from a server\n    -> take {how}, or leave the task out")
        asyncio.run(self._all(kind, [ask for piece in pieces for ask in piece], told))

    def close(self) -> None:
        """Connections are closed after each `answer`."""

    @property
    def _at(self) -> str:
        return f"server {self._base}, model {self._name}"

    async def _all(self, kind: str, asks: Sequence[Ask], told: Told) -> None:
        key = os.environ.get(self._model.api_key_env, "").strip()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        session = Session(headers | ({"Authorization": f"Bearer {key}"} if key else {}))
        due: Iterator[Ask] = iter(asks)
        self._fault: str | None = None  # of the last attempt, where no reply has come since
        try:
            with waiting.told(lambda: self._fault and f"waiting for server {self._base} ({self._fault})"):
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._runtime.concurrency, len(asks))):
                        group.create_task(self._work(session, kind, due, told))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None  # the first; the others' calls were cancelled
        finally:
            await session.close()

    async def _work(self, session: Session, kind: str, due: Iterator[Ask], told: Told) -> None:
        for ask in due:
            told([ask], [await self._one(session, kind, ask)])

    async def _one(self, session: Session, kind: str, ask: Ask) -> Any:
        """The reply to `ask`, after as many attempts as the runtime allows, or its Refusal."""
        body, parse = (self._generation if kind == "generate_until" else self._likelihood)(ask)
        data = json.dumps(body).encode()
        limits, attempts, refusals, first = Limits(self._runtime.timeout_s, CONNECT_S), 0, 0, time.monotonic()
        while True:
            try:
                answer = await session.exchange("POST", self._url, data, limits)
                if answer.status == 200:
                    self._answered_at, self._fault = time.monotonic(), None
                    try:
                        return parse(json.loads(answer.body.decode("utf-8")))
                    except _SHAPE as error:
                        raise Fault("body", f"no proper reply ({type(error).__name__}: {str(error)[:200]})") from None
                return await self._refused(session, answer, ask)
            except Fault as fault:
                self._fault = printable(str(fault))
                if fault.kind == "busy" and time.monotonic() - max(first, self._answered_at) < PATIENCE_S:
                    refusals += 1
                else:
                    attempts += 1
                if attempts > self._runtime.retries and fault.kind in ("status", "body"):  # it is up, and answers this so
                    return Refusal(f"{printable(str(fault))} ({attempts} attempts)", passing=True)
                if attempts > self._runtime.retries:
                    raise EvalError(
                        f"{self._at}: {printable(str(fault))} ({attempts} attempts)\n    -> see whether the server is up, and "
                        "model.base_url right; what was answered is kept: the same command goes on from there"
                    ) from None
                await asyncio.sleep(max(fault.retry_after or 0.0, backoff(attempts + refusals)))

    async def _refused(self, session: Session, answer: Answer, ask: Ask) -> Refusal:
        """What an answer other than 200 means: the refusal of this request, or, raised, a Fault that may pass, or EvalError."""
        status, words = answer.status, printable(said(answer.body))
        if status in _PASSING or status >= 500:
            raise Fault("busy" if status == 429 else "status", f"HTTP {status}: {words}", retry_after(answer.headers))
        if status in (400, 413, 422):
            size = f"{len(ask.ids)} tokens" if ask.ids else "a talk"
            return Refusal(f"{size}, room for {ask.decoding.get('max_gen_toks', 1)} more: HTTP {status}: {words}", passing=False)
        if status in (401, 403):
            remedy = f"put the server's key into the environment variable {self._model.api_key_env}"
        elif status == 404:
            remedy = f"set model.name to one of its models ({await self._listed(session)}), model.base_url to its address up to /v1"
        else:
            remedy = "see whether model.base_url is right"
        raise EvalError(f"{self._at}: HTTP {status}: {words}\n    -> {remedy}. What was answered is kept")

    async def _listed(self, session: Session) -> str:
        try:
            answer = await session.exchange("GET", f"{self._base}/models", None, Limits(CONNECT_S, CONNECT_S))
        except Fault:
            return "its list cannot be had"
        names = sorted(listed_models(answer.body)) if answer.status == 200 else []
        return printable(", ".join(names[:8])) or "it lists none"

    def _generation(self, ask: Ask) -> tuple[dict[str, Any], Any]:
        """The body, and what makes a reply of the answer: cut at the stop texts here too, since servers drop some or all."""
        from lm_eval.models.utils import postprocess_generated_text

        decoding = copy.deepcopy(dict(ask.decoding))
        ids, text = self._fitting(ask), ask.args[0]
        whole = len(ids) == len(ask.ids)
        if self._model.send == "text" and not whole:
            text = self._front.tokenizer.decode(ids)
        message = self._wire.create_message([ids] if self._model.send == "tokens" else [text])
        eos = self._front.tokenizer.eos_token if self._front.tokenizer is not None else None
        until = decoding.get("until") or []
        stops = [*([until] if isinstance(until, str) else until), *([eos] if eos else [])]
        body = self._wire._create_payload(message, generate=True, gen_kwargs=decoding, eos=eos)
        if self._model.send == "text":
            body["add_special_tokens"] = whole and not self._front.bare(text)
        elif self._model.send == "messages" and continues(message):
            body |= {"continue_final_message": True, "add_generation_prompt": False}

        def parse(value: Any) -> Reply:
            (reply,) = self._wire.parse_generations(value)
            if self._model.send == "messages":  # lm-eval makes an empty text of a reply that has no content, too
                value["choices"][0]["message"]["content"]
            told = value["choices"][0].get("finish_reason")
            stopped = any(stop and stop in (reply or "") for stop in stops)
            text = str(well_formed(postprocess_generated_text(reply or "", stops, None)))
            return Reply(text, not stopped and normal(told) == "length" if isinstance(told, str) and told.strip() else None)

        return body, parse

    def _fitting(self, ask: Ask) -> list[int]:
        """The prompt's tokens, without its head where it leaves no room for the reply (as HFLM and VLLM do; it is counted)."""
        if self._front.max_length is None or not ask.ids:
            return list(ask.ids)
        return list(ask.ids[-(self._front.max_length - int(ask.decoding["max_gen_toks"])) :])

    def _likelihood(self, ask: Ask) -> tuple[dict[str, Any], Any]:
        """The body that asks for the prompt's own log-likelihoods, which few servers give (vLLM does)."""
        assert self._front.max_length is not None
        ids = list(ask.ids[-(self._front.max_length - 1) :])  # one token is generated
        context = len(ids) - ask.scored
        message = self._wire.create_message([ids if self._model.send == "tokens" else self._front.tokenizer.decode(ids)])

        def parse(value: Any) -> tuple[float, bool]:
            try:
                (found,) = self._wire.parse_logprobs(value, tokens=[ids], ctxlens=[context])
            except _SHAPE as error:
                raise EvalError(
                    f"{self._at}: gives no log-likelihoods of a prompt (echo with logprobs): {type(error).__name__}\n"
                    "    -> take model.backend=hf or vllm for these tasks, or the generative ones (suite=paper)"
                ) from None
            return float(found[0]), bool(found[1])

        body = self._wire._create_payload(message, generate=False)
        if self._model.send == "text":
            body["add_special_tokens"] = False  # `ids` hold what there is to be
        return body, parse
