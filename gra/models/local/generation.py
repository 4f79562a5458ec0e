"""Generates replies with one transformers model in memory. It blocks, so transformers.py calls it in a worker thread.

Sampling is done here because `generate` samples a whole batch from one random generator. Here each row has its own
generator, seeded by the row's request. Gumbel noise from this generator is added to the logits, and the token with the
largest sum is taken. This is equivalent to sampling from the softmax.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessor, StoppingCriteria
from transformers.generation import LogitsProcessorList, StoppingCriteriaList

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.openai.choices import nine, same
from gra.models.openai.wire import messages_of
from gra.models.pool import ModelSettings

log = logging.getLogger(__name__)


class LocalModel:
    """A model that transformers runs in this process. `spec`: the model's settings. The model is loaded from the folder
    or hub id `spec.served`. Raises ServerError if the model cannot be loaded or has no chat template."""

    def __init__(self, spec: ModelSettings, *, device: str, dtype: str, trust_remote_code: bool):
        self.name, self._system_role, where = spec.name, spec.system_role, spec.served
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        options: dict[str, Any] = {"revision": spec.revision, "trust_remote_code": trust_remote_code}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where, padding_side="left", **options)
            model: Any = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **options)
            self._model = model.to(device).eval()
        except (
            OSError,
            ValueError,
            ImportError,
            RuntimeError,
        ) as error:  # e.g. a missing folder, an unknown architecture, too little memory
            why = f"cannot load {where}: {type(error).__name__}: {str(error)[:500]}"
            raise ServerError(
                f"model `{self.name}`: {why}\n    -> correct pool.models, or download it first"
            ) from error
        if not self._tokenizer.chat_template:
            why = f"{where} has no chat template: it is not a chat model"
            raise ServerError(f"model `{self.name}`: {why}\n    -> use its -Instruct or -Chat variant")
        given = self._model.generation_config.eos_token_id or self._tokenizer.eos_token_id
        self._eos: list[int] = [given] if isinstance(given, int) else list(given or [])
        pad = self._tokenizer.pad_token_id
        self._pad: int = pad if pad is not None else (self._eos or [0])[0]
        self._choice_ids: dict[tuple[str, ...], dict[str, list[int]]] = {}
        self._context: int | None = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)

    def unload(self) -> None:
        """Free the model's memory. The object cannot be used afterwards."""
        del self._model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(
        self,
        requests: Sequence[Request],
        *,
        structured: bool,
        template_options: Mapping[str, Any],
        stop: threading.Event,
    ) -> list[Reply]:
        """Generate the replies to `requests` as one batch, and return them in the same order. Raises ServerError if
        memory runs out."""
        prompts = [self._prompt(request, template_options) for request in requests]
        replies: dict[int, Reply] = {}
        for index, prompt in enumerate(prompts):
            if self._context is not None and len(prompt) >= self._context:
                why = f"context too long: {len(prompt)} tokens of prompt, the model takes {self._context}"
                replies[index] = Reply("", len(prompt), None, "error", why)
        rows = [index for index in range(len(prompts)) if index not in replies]
        for index in (index for index in rows if requests[index].forced):
            replies[index] = self._read(prompts[index], requests[index])
        rows = [index for index in rows if index not in replies]
        if rows:
            wanted = [1 if requests[i].choices else requests[i].max_tokens for i in rows]
            limits = [min(n, (self._context or 1 << 30) - len(prompts[i])) for i, n in zip(rows, wanted, strict=True)]
            grammars = [self._grammar(requests[i]) if structured else None for i in rows]
            try:
                written, first = self._generate(
                    [prompts[i] for i in rows], [requests[i] for i in rows], limits, grammars, stop
                )
            except torch.OutOfMemoryError as error:
                why = f"out of memory with {len(rows)} calls at once"
                raise ServerError(f"model `{self.name}`: {why}\n    -> lower pool.batch or pool.max_loaded") from error
            for i, tokens, limit, likely in zip(rows, written, limits, first, strict=True):
                reply = self._reply(tokens[:limit], len(prompts[i]))
                replies[i] = (
                    reply if likely is None else replace(reply, choices=self._masses(requests[i].choices, likely))
                )
        return [replies[index] for index in range(len(requests))]

    def _prompt(self, request: Request, options: Mapping[str, Any]) -> list[int]:
        messages = [dict(message) for message in messages_of(request, self._system_role)]
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
        except TemplateError as error:
            remedy = "set `system_role: false` for this model if its template does not support the system role"
            raise ServerError(
                f"model `{self.name}`: its chat template raised an error: {error}\n    -> {remedy}"
            ) from error
        # the template has written the special tokens
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    @torch.inference_mode()
    def _generate(
        self,
        prompts: list[list[int]],
        requests: list[Request],
        limits: list[int],
        grammars: list[Any],
        stop: threading.Event,
    ) -> tuple[list[list[int]], list[torch.Tensor | None]]:
        """Return two lists with one entry per row: the new tokens, right-padded, and the probabilities of the first
        token over the vocabulary (None for requests without choices). Prompts are left-padded to one length."""
        width = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (width - len(p)) + p for p in prompts], device=self._model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self._model.device)
        config = GenerationConfig(
            max_new_tokens=max(limits),
            do_sample=False,
            num_beams=1,
            eos_token_id=self._eos or None,
            pad_token_id=self._pad,
        )
        rows = _Rows(requests, grammars, width, self._eos)
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([rows]),
            stopping_criteria=StoppingCriteriaList([_Limits([width + limit for limit in limits], stop)]),
        )
        tokens: list[list[int]] = output[:, width:].tolist()
        return tokens, rows.first

    @torch.inference_mode()
    def _read(self, prompt: list[int], request: Request) -> Reply:
        """Return a reply with the mean log-probability of the forced text. Each text is read alone, so
        the other calls of the batch do not change its result."""
        text: list[int] = self._tokenizer(request.forced, add_special_tokens=False)["input_ids"]
        text = text[: min(request.max_tokens, (self._context or 1 << 30) - len(prompt))]
        ids = torch.tensor([prompt + text], device=self._model.device)
        logits = self._model(input_ids=ids, logits_to_keep=len(text) + 1).logits[0, -len(text) - 1 : -1]
        values = logits.double().log_softmax(-1).gather(1, ids[0, -len(text) :, None])
        mean = float(values.mean())
        return Reply("", len(prompt), len(text), "stop", logprob=nine(mean) if math.isfinite(mean) else None)

    def _masses(self, choices: tuple[str, ...], likely: torch.Tensor) -> dict[str, float]:
        """Return the exact probability of each choice: the sum over all tokens of the vocabulary that spell it."""
        return {choice: nine(float(likely[ids].sum())) for choice, ids in self._ids_of(choices).items()}

    def _ids_of(self, choices: tuple[str, ...]) -> dict[str, list[int]]:
        if choices not in self._choice_ids:
            texts = self._tokenizer.batch_decode([[i] for i in range(len(self._tokenizer))])
            names = {same(choice): choice for choice in choices}
            found: dict[str, list[int]] = {choice: [] for choice in choices}
            for number, text in enumerate(texts):
                if (choice := names.get(same(text))) is not None:
                    found[choice].append(number)
            if empty := [choice for choice, ids in found.items() if not ids]:
                why = f"its vocabulary has no single token for {', '.join(empty)}, which a probability needs"
                raise ServerError(
                    f"model `{self.name}`: {why}\n    -> set synthesis.scoring=text, or leave the model out"
                )
            self._choice_ids[choices] = found
        return self._choice_ids[choices]

    def _reply(self, tokens: list[int], tokens_in: int) -> Reply:
        end = next((i for i, token in enumerate(tokens) if token in self._eos), None)
        text = str(self._tokenizer.decode(tokens[:end], skip_special_tokens=True))
        return Reply(text, tokens_in, len(tokens) if end is None else end + 1, "length" if end is None else "stop")

    def _grammar(self, request: Request) -> Any:
        """Return a new llguidance matcher for the request's schema; None without a schema or if it cannot be
        enforced."""
        if request.schema is None or self._grammar_tokenizer is None:
            return None
        import llguidance

        schema = json.dumps(request.schema)
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
        matcher = llguidance.LLMatcher(self._grammar_tokenizer, grammar, log_level=0)
        if matcher.is_error():
            log.warning("%s: schema `%s` is not enforced: %s", self.name, request.schema_name, matcher.get_error())
            return None
        return matcher

    @cached_property
    def _grammar_tokenizer(self) -> Any:
        try:
            from llguidance.hf import from_tokenizer
        except ImportError:
            log.warning("%s: llguidance is not installed: JSON schemas are not enforced", self.name)
            return None
        vocabulary = max(self._model.get_output_embeddings().weight.shape[0], len(self._tokenizer))
        try:
            return from_tokenizer(self._tokenizer, n_vocab=vocabulary, eos_token=self._eos or None)  # type: ignore[arg-type]
        except ValueError as error:
            log.warning("%s: JSON schemas are not enforced: %s", self.name, error)
            return None


class _Rows(LogitsProcessor):
    """Applies each row's grammar, temperature, top_p and seed. `generate` then takes each row's largest logit."""

    def __init__(self, requests: Sequence[Request], grammars: Sequence[Any], width: int, eos: Sequence[int]):
        self._requests, self._grammars, self._read, self._eos = requests, grammars, width, eos
        # probabilities of the first token, before temperature and top_p
        self.first: list[torch.Tensor | None] = [None] * len(requests)
        self._generators = [torch.Generator().manual_seed(request.seed % 2**63) for request in requests]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        out = scores.float().clone()
        new = input_ids[:, self._read :].tolist()
        self._read = input_ids.shape[1]
        for row, request in enumerate(self._requests):
            if request.choices and self.first[row] is None:
                self.first[row] = out[row].double().softmax(-1).cpu()
            grammar = self._grammars[row]
            if grammar is not None:
                self._constrain(out[row], grammar, new[row])
            if request.temperature > 0:
                out[row] = self._perturbed(out[row] / request.temperature, request.top_p, self._generators[row])
        return out  # type: ignore[return-value]

    def _constrain(self, scores: torch.Tensor, grammar: Any, new: list[int]) -> None:
        for token in new:
            if token not in self._eos and not grammar.is_stopped():
                grammar.consume_token(token)
        if grammar.is_stopped():  # complete: only an end token can follow
            mask = torch.zeros(scores.shape[0], dtype=torch.bool)
            mask[list(self._eos)] = True
        else:
            packed = torch.frombuffer(bytearray(grammar.compute_bitmask()), dtype=torch.uint8)
            bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1  # little-endian, 1 = allowed
            mask = bits.flatten()[: scores.shape[0]].bool()
        scores.masked_fill_(~mask.to(scores.device), float("-inf"))

    @staticmethod
    def _perturbed(scores: torch.Tensor, top_p: float, generator: torch.Generator) -> torch.Tensor:
        if top_p < 1:
            ordered, order = scores.softmax(-1).sort(descending=True, stable=True)
            beyond = ordered.cumsum(-1) - ordered >= top_p  # the tokens before it already reach top_p
            scores = scores.masked_fill(beyond.scatter(0, order, beyond), float("-inf"))
        uniform = torch.rand(scores.shape, generator=generator, dtype=torch.float64).clamp_min(1e-300)
        return scores + (-(-uniform.log()).log()).to(scores)


class _Limits(StoppingCriteria):
    """Ends each row at its length limit, and all rows when the backend is closed."""

    def __init__(self, ends: Sequence[int], stop: threading.Event):
        self._ends, self._stop = torch.tensor(ends), stop

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:  # noqa: ARG002
        done = (self._ends <= input_ids.shape[1]) | self._stop.is_set()
        return done.to(input_ids.device)  # type: ignore[return-value]
