"""Backend `server`: queries any OpenAI-compatible server.

The request bodies are lm-eval's (local-completions, local-chat-completions), but its HTTP client is not used. That
client retries refused requests as if the fault were temporary, and cancels all calls when one gets no answer. With
every HTTP error it logs the request's headers, which contain the API key.

The setting `model.send` decides what is sent: the prompt's tokens (the same that the other backends feed to the model),
the prompt as text, or the conversation. If text is sent, the server tokenises it, and the field `add_special_tokens`
tells the server whether to add a beginning-of-text token. A conversation that ends with the start of the reply is sent
with `continue_final_message`. vLLM supports both fields; SGLang supports only `continue_final_message`. If the server
refuses a request, its reply is a Refusal, and the run continues.
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

from gra import waiting
from gra.errors import EvalError
from gra.eval.backends import ModelRequest, OnReplies, Refusal, Reply, batches, continues
from gra.eval.backends.front import HarnessModel
from gra.eval.settings import Model, Runtime
from gra.models.openai.finish import normal
from gra.models.openai.http_client import Answer, Fault, Limits, Session
from gra.models.openai.http_retry import backoff, retry_after
from gra.models.openai.wire import listed_models, said
from gra.private_api.lm_eval import payload
from gra.wellformed import printable, well_formed

CONNECT_S = 20.0
PATIENCE_S = 300.0  # HTTP 429 counts as a failed attempt only if the server answered no call for so many seconds
_PASSING = (408, 409, 425, 429)  # and all 5xx
_SHAPE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    AssertionError,
)  # malformed replies
log = logging.getLogger(__name__)


class ServerModel:
    """The EvalBackend that sends requests to a server.

    Each call of `answer` reads the API key from the environment. No log or error message contains it.
    """

    def __init__(self, model: Model, runtime: Runtime, lm: HarnessModel):
        from lm_eval.models import openai_completions as wire

        self._model, self._runtime, self._lm = model, runtime, lm
        self._name, self._base = model.name or model.path, str(model.base_url).rstrip("/")
        chat = model.send == "messages"
        self._url = f"{self._base}/{'chat/completions' if chat else 'completions'}"
        form = wire.LocalChatCompletion if chat else wire.LocalCompletionsAPI
        # lm-eval's class only builds the bodies; without this argument it would load the tokenizer again.
        self._wire = form(base_url=self._url, model=self._name, tokenizer_backend=None)
        self._wire.tokenized_requests = model.send == "tokens"
        self._answered_at = float("-inf")

    def cut(self, kind: str, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """Return all requests in one batch, which keeps the server busy. Each reply is stored as it arrives."""
        cut = batches.likelihoods if kind == "loglikelihood" else batches.generations
        return [[request for piece in cut(requests, batches.always(1)) for request in piece]]

    def answer(self, kind: str, pieces: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """See EvalBackend."""
        if kind == "loglikelihood_rolling" or (kind == "loglikelihood" and self._model.send == "messages"):
            how = (
                "model.backend=hf or vllm"
                if kind.endswith("rolling")
                else "model.send=tokens, if the server has /v1/completions"
            )
            raise EvalError(
                f"{self._at}: a server does not provide log-likelihoods of this kind\n    -> set {how}, or leave the task out"
            )
        asyncio.run(self._all(kind, [request for piece in pieces for request in piece], on_replies))

    def close(self) -> None:
        """Do nothing: connections are closed after each `answer`."""

    @property
    def _at(self) -> str:
        return f"server {self._base}, model {self._name}"

    async def _all(self, kind: str, requests: Sequence[ModelRequest], on_replies: OnReplies) -> None:
        key = os.environ.get(self._model.api_key_env, "").strip()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        session = Session(headers | ({"Authorization": f"Bearer {key}"} if key else {}))
        due: Iterator[ModelRequest] = iter(requests)
        self._fault: str | None = None  # of the last attempt; None after a reply
        try:
            with waiting.reported(lambda: self._fault and f"waiting for server {self._base} ({self._fault})"):
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._runtime.concurrency, len(requests))):
                        group.create_task(self._work(session, kind, due, on_replies))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None  # the first fault cancelled the other calls
        finally:
            await session.close()

    async def _work(self, session: Session, kind: str, due: Iterator[ModelRequest], on_replies: OnReplies) -> None:
        for request in due:
            on_replies([request], [await self._one(session, kind, request)])

    async def _one(self, session: Session, kind: str, request: ModelRequest) -> Any:
        """Return the reply to `request`, or a Refusal if the server refuses the request.

        After a temporary fault of the server, the request is retried up to `runtime.retries` times before the reply is
        a Refusal. Raises EvalError if the server cannot be reached, or if its answer shows that every request would
        fail (a wrong key, model or URL).
        """
        body, parse = (self._generation if kind == "generate_until" else self._likelihood)(request)
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
                        raise Fault("body", f"malformed reply ({type(error).__name__}: {str(error)[:200]})") from None
                return await self._refused(session, answer, request)
            except Fault as fault:
                self._fault = printable(str(fault))
                if fault.kind == "busy" and time.monotonic() - max(first, self._answered_at) < PATIENCE_S:
                    refusals += 1
                else:
                    attempts += 1
                if attempts > self._runtime.retries and fault.kind in (
                    "status",
                    "body",
                ):  # the server is up but refuses
                    return Refusal(f"{printable(str(fault))} ({attempts} attempts)", passing=True)
                if attempts > self._runtime.retries:
                    raise EvalError(
                        f"{self._at}: {printable(str(fault))} ({attempts} attempts)\n    -> check that the server is up and that "
                        "model.base_url is right, then run the same command again to resume; the replies so far are kept"
                    ) from None
                await asyncio.sleep(max(fault.retry_after or 0.0, backoff(attempts + refusals)))

    async def _refused(self, session: Session, answer: Answer, request: ModelRequest) -> Refusal:
        """Return the Refusal for an answer with a status other than 200.

        Raises Fault if a retry may help, EvalError if the run cannot continue.
        """
        status, words = answer.status, printable(said(answer.body))
        if status in _PASSING or status >= 500:
            raise Fault("busy" if status == 429 else "status", f"HTTP {status}: {words}", retry_after(answer.headers))
        if status in (400, 413, 422):
            size = f"{len(request.ids)} tokens" if request.ids else "a conversation"
            limit = request.decoding.get("max_gen_toks", 1)
            return Refusal(f"{size} and a reply of up to {limit} tokens: HTTP {status}: {words}", passing=False)
        if status in (401, 403):
            remedy = f"set the environment variable {self._model.api_key_env} to the server's key"
        elif status == 404:
            remedy = f"set model.name to one of its models ({await self._listed(session)}), model.base_url to its address up to /v1"
        else:
            remedy = "check model.base_url"
        raise EvalError(f"{self._at}: HTTP {status}: {words}\n    -> {remedy}. The replies so far are kept")

    async def _listed(self, session: Session) -> str:
        try:
            answer = await session.exchange("GET", f"{self._base}/models", None, Limits(CONNECT_S, CONNECT_S))
        except Fault:
            return "its list is not available"
        names = sorted(listed_models(answer.body)) if answer.status == 200 else []
        return printable(", ".join(names[:8])) or "it lists none"

    def _generation(self, request: ModelRequest) -> tuple[dict[str, Any], Any]:
        """Return the request body and the parser of its answer.

        The parser also cuts at the stop texts, because servers ignore some or all of them.
        """
        from lm_eval.models.utils import postprocess_generated_text

        decoding = copy.deepcopy(dict(request.decoding))
        ids, text = self._fitting(request), request.args[0]
        whole = len(ids) == len(request.ids)
        if self._model.send == "text" and not whole:
            text = self._lm.tokenizer.decode(ids)
        message = self._wire.create_message([ids] if self._model.send == "tokens" else [text])
        eos = self._lm.tokenizer.eos_token if self._lm.tokenizer is not None else None
        until = decoding.get("until") or []
        stops = [*([until] if isinstance(until, str) else until), *([eos] if eos else [])]
        body = payload(self._wire, message, generate=True, gen_kwargs=decoding, eos=eos)
        if self._model.send == "text":
            body["add_special_tokens"] = whole and not self._lm.bare(text)
        elif self._model.send == "messages" and continues(message):
            body |= {"continue_final_message": True, "add_generation_prompt": False}

        def parse(value: Any) -> Reply:
            (reply,) = self._wire.parse_generations(value)
            if (
                self._model.send == "messages"
            ):  # raise for a reply without content, which lm-eval turns into an empty text
                value["choices"][0]["message"]["content"]
            reason = value["choices"][0].get("finish_reason")
            stopped = any(stop and stop in (reply or "") for stop in stops)
            text = str(well_formed(postprocess_generated_text(reply or "", stops, None)))
            return Reply(
                text, not stopped and normal(reason) == "length" if isinstance(reason, str) and reason.strip() else None
            )

        return body, parse

    def _fitting(self, request: ModelRequest) -> list[int]:
        """Return the prompt's tokens, shortened at the start to leave room for the reply, as HFLM and VLLM do.

        results.json counts the shortened prompts.
        """
        if self._lm.max_length is None or not request.ids:
            return list(request.ids)
        return list(request.ids[-(self._lm.max_length - int(request.decoding["max_gen_toks"])) :])

    def _likelihood(self, request: ModelRequest) -> tuple[dict[str, Any], Any]:
        """Return the body that requests log-likelihoods of a prompt, and the parser. vLLM returns them; few other servers do."""
        assert self._lm.max_length is not None
        ids = list(request.ids[-(self._lm.max_length - 1) :])  # one token is generated
        context = len(ids) - request.scored
        message = self._wire.create_message([ids if self._model.send == "tokens" else self._lm.tokenizer.decode(ids)])

        def parse(value: Any) -> tuple[float, bool]:
            try:
                (found,) = self._wire.parse_logprobs(value, tokens=[ids], ctxlens=[context])
            except _SHAPE as error:
                raise EvalError(
                    f"{self._at}: does not return log-likelihoods of a prompt (echo with logprobs): {type(error).__name__}\n"
                    "    -> set model.backend=hf or vllm for these tasks, or choose generative ones (suite=paper)"
                ) from None
            return float(found[0]), bool(found[1])

        body = payload(self._wire, message, generate=False)
        if self._model.send == "text":
            body["add_special_tokens"] = False  # `ids` already contain them
        return body, parse
