"""Defines the model object that lm-eval calls. It renders prompts and passes lm-eval's requests on.

`inference.cached.keep` sets the function that answers the requests. The model's tokenizer renders the prompts for all
backends, so every backend gets the same prompt as lm-eval's HF class. The chat template is used unchanged. No
beginning-of-text token is added to a prompt that a chat template rendered: a template writes the token itself if the
model needs it (Llama's does), and training adds none either (train/data/rows.py).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.api_models import JsonChatStr
from lm_eval.models.utils import configure_pad_token, has_bos_prefix, resolve_max_length

from gra import hub
from gra.errors import EvalError
from gra.eval.backends import ModelRequest
from gra.eval.settings import Model

log = logging.getLogger(__name__)
_AT_ONCE = 500  # texts per call of the tokenizer, whose result needs much more memory than the ids


class HarnessModel(TemplateLM):
    """The model that lm-eval sees (a TemplateLM): it renders prompts and passes requests on.

    It loads the config and the tokenizer but no weights. With `model.send=messages` it loads nothing, because the
    server renders the prompts.

    `chat`: whether prompts are rendered with the chat template.
    `bos`: the setting `suite.bos`.

    Raises EvalError if the model cannot be loaded, has no chat template although `chat` is set, or states no context
    length.
    """

    tokenizer: Any

    def __init__(self, model: Model, chat: bool, bos: str = "model"):
        super().__init__()
        self.model, self.chat, self.bos = model, chat, bos
        self.renders = not (model.backend == "server" and model.send == "messages")
        self.config: Any = None
        self.tokenizer = None
        self.max_length = model.max_length
        self.answer: Callable[[str, Sequence[Any]], list[Any]] | None = None  # set by cached.keep
        self.extra_decoding: dict[str, Any] = {}
        if not self.renders:
            if not chat:
                raise EvalError(
                    "model.send=messages: a chat server applies the template\n    -> set suite.apply_chat_template=true"
                )
            return
        try:
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise EvalError(
                f"model {model.path}: cannot be loaded: {error}\n"
                "    -> set a folder that AutoModelForCausalLM and AutoTokenizer can load, or a hub id"
            ) from error
        if chat and not self.tokenizer.chat_template:
            raise EvalError(
                f"model {model.path}: its tokenizer has no chat template\n"
                "    -> set suite.apply_chat_template=false, or add a template to the tokenizer"
            )
        if self.max_length is None:
            raise EvalError(
                f"model {model.path}: neither its config nor its tokenizer states the context length\n"
                "    -> set model.max_length=N (tokens of prompt and reply together)"
            )

    def _open(self) -> None:
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        model = self.model
        given = {"revision": model.revision, "trust_remote_code": model.trust_remote_code}
        try:
            self.config = AutoConfig.from_pretrained(model.path, **given)
        except (OSError, ValueError):
            if model.backend != "server":
                raise
            # a served model needs only its tokenizer here
        kept_from_bos = {"add_bos_token": False} if self.chat else {}
        tokenizer = AutoTokenizer.from_pretrained(model.path, use_fast=True, **given, **kept_from_bos)
        self.tokenizer = configure_pad_token(tokenizer, model_config=self.config)
        if self.max_length is None:
            longest = (
                resolve_max_length(self.config, self.tokenizer, default=0)
                if self.config
                else tokenizer.model_max_length
            )
            self.max_length = longest if 0 < longest < 1 << 30 else None  # transformers uses 1e30 for "no known limit"
        if (
            model.backend != "hf"
        ):  # transformers applies the model's generation_config.json, lm-eval's other classes do not
            try:
                penalty = (
                    GenerationConfig.from_pretrained(model.path, revision=model.revision).repetition_penalty or 1.0
                )
            except OSError:
                penalty = 1.0
            self.extra_decoding = {"repetition_penalty": penalty} if penalty != 1.0 else {}
        if model.backend == "vllm":
            self.extra_decoding |= {"skip_special_tokens": True}  # as HFLM decodes

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> Any:
        """Return the prompt that the chat template makes from a conversation.

        A chat server renders prompts itself. For such a server, return the conversation as lm-eval's JsonChatStr.

        If the template rejects a system message, the message is left out and a warning is logged.
        """
        import json

        from jinja2.exceptions import TemplateError

        if not self.renders:
            return JsonChatStr(json.dumps(chat_history, ensure_ascii=False))
        options = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return self._begun(self.tokenizer.apply_chat_template(chat_history, **options))
        except TemplateError:
            rest = [message for message in chat_history if message["role"] != "system"]
            if len(rest) == len(chat_history):
                raise
            log.warning("the model's chat template does not support a system message: it is left out of the prompts")
            return self._begun(self.tokenizer.apply_chat_template(rest, **options))

    def _begun(self, text: str) -> str:
        """Return the rendered prompt with or without the beginning-of-text token, as suite.bos says."""
        start = self.tokenizer.bos_token
        if self.bos == "model" or start is None:
            return text
        rest = text.removeprefix(start)
        return f"{start}{rest}" if self.bos == "always" else rest

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the template's text; "" for a chat server, whose template is unknown."""
        return super().chat_template(chat_template) if self.renders else ""

    def bare(self, text: str) -> bool:
        """Return whether the prompt `text` has to be tokenised without adding special tokens.

        That is the case if a chat template rendered the prompt, or if the prompt begins with the beginning-of-text
        token.
        """
        return self.chat or has_bos_prefix(text, self.tokenizer.bos_token)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return, for each prompt, the tokens that a backend feeds to the model."""
        bare = [self.bare(text) for text in texts]
        found: list[list[int]] = [[]] * len(texts)
        for add in (True, False):
            places = [place for place, without in enumerate(bare) if without is not add]
            for start in range(0, len(places), _AT_ONCE):
                some = places[start : start + _AT_ONCE]
                listed = self.tokenizer([texts[p] for p in some], add_special_tokens=add, return_attention_mask=False)
                for place, ids in zip(some, listed["input_ids"], strict=True):
                    found[place] = ids
        return found

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the tokens of one text.

        `add_special_tokens`: whether the tokenizer adds its special tokens to the text. None means that it adds them,
        except to a text that a chat template rendered or that already begins with the beginning-of-text token.
        """
        if add_special_tokens is None:
            add_special_tokens = not (self.chat or has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)))
        ids: list[int] = self.tokenizer.encode(string, add_special_tokens=add_special_tokens)
        return ids

    def pairs(self, requests: Sequence[ModelRequest]) -> list[tuple[list[int], list[int]]]:
        """Return two lists of tokens for each request: those of its context and those of its continuation.

        Context and continuation are tokenised as in lm-eval.
        """
        split: Any = super().loglikelihood(requests, disable_tqdm=True)  # type: ignore[arg-type] # ends in `_loglikelihood_tokens`
        return [(context, continuation) for _, context, continuation in split]

    def _loglikelihood_tokens(self, requests: Any, **_: Any) -> Any:
        return requests

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """Return the generated replies to lm-eval's requests."""
        return self._answered("generate_until", requests)

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: ARG002
        """Return each continuation's log-likelihood and whether greedy decoding produces it."""
        return self._answered("loglikelihood", requests)

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """Return the log-likelihood of each whole text."""
        return self._answered("loglikelihood_rolling", requests)

    def _answered(self, kind: str, requests: Any) -> list[Any]:
        assert self.answer is not None, "call cached.keep first"
        return self.answer(kind, requests)

    @property
    def eot_token_id(self) -> Any:
        """Return the token that ends a reply."""
        return self.tokenizer.eos_token_id if self.tokenizer is not None else None

    @property
    def prefix_token_id(self) -> Any:
        """Return the token that precedes a text scored without context."""
        return self.eot_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        """Return a name for lm-eval's request cache, which GRA does not use."""
        return hashlib.sha256(self.model.path.encode()).hexdigest()[:12]

    def get_model_info(self) -> dict[str, Any]:
        """Return the same facts about the model as lm-eval's HF class, without loading weights.

        For a served model, return {}.
        """
        if self.model.backend == "server" or self.config is None:
            return {}
        return {
            "model_num_parameters": self.parameters,
            "model_dtype": str(getattr(self.config, "dtype", None) or "")
            if self.model.dtype == "auto"
            else self.model.dtype,
            "model_revision": self.model.revision,
            "model_sha": self.commit or "",
        }

    @property
    def commit(self) -> str | None:
        """Return the hub commit of the model; None for a local folder."""
        return hub.commit_of(self.model.path, self.model.revision) if self.model.path else None

    @cached_property
    def parameters(self) -> int:
        """Return the number of parameters; -1 if it cannot be found without loading the model."""
        return _parameters(self.config, self.model.trust_remote_code)


def _parameters(config: Any, trust_remote_code: bool) -> int:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return int(AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code).num_parameters())
    except (ValueError, RuntimeError, NotImplementedError, ImportError, OSError):
        return -1
