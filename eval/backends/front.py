"""The model as lm-eval sees it: renders prompts with the model's tokenizer, and hands every request to `replies.keep`'s answer.

One tokenizer renders for all backends, so that all get the same prompt. It is what lm-eval's own HF class does: the chat
template as it is; the tokens of a prompt that it rendered without a beginning-of-text token added, since a template writes one
itself where the model wants one (Llama's does) and the model has not seen a second in training (train/data.py).
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

from eval.backends import Ask
from eval.settings import Model
from gra.errors import EvalError

log = logging.getLogger(__name__)
_AT_ONCE = 500  # texts in one call of the tokenizer, which notes much more of each token than its id


class Front(TemplateLM):
    """Opens config and tokenizer, no weights. `chat`: prompts come from the chat template. Raises EvalError."""

    tokenizer: Any

    def __init__(self, model: Model, chat: bool):
        super().__init__()
        self.model, self.chat = model, chat
        self.renders = not (model.backend == "server" and model.send == "messages")
        self.config: Any = None
        self.tokenizer = None
        self.max_length = model.max_length
        self.answer: Callable[[str, Sequence[Any]], list[Any]] | None = None  # set by replies.keep
        self.extra_decoding: dict[str, Any] = {}
        if not self.renders:
            if not chat:
                raise EvalError("model.send=messages: a chat server writes the template: set suite.apply_chat_template=true")
            return
        try:
            self._open()
        except (OSError, ValueError, KeyError) as error:
            raise EvalError(
                f"model {model.path}: cannot be loaded: {error}\n"
                "    -> give a folder that AutoModelForCausalLM and AutoTokenizer open, or a hub id"
            ) from error
        if chat and not self.tokenizer.chat_template:
            raise EvalError(
                f"model {model.path}: its tokenizer has no chat template\n"
                "    -> set suite.apply_chat_template=false, or give it one"
            )
        if self.max_length is None:
            raise EvalError(
                f"model {model.path}: neither a config nor its tokenizer says how many tokens it reads\n"
                "    -> set model.max_length=N (prompt and reply together)"
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
            # of a server's model the tokenizer alone may be here
        kept_from_bos = {"add_bos_token": False} if self.chat else {}
        tokenizer = AutoTokenizer.from_pretrained(model.path, use_fast=True, **given, **kept_from_bos)
        self.tokenizer = configure_pad_token(tokenizer, model_config=self.config)
        if self.max_length is None:
            longest = resolve_max_length(self.config, self.tokenizer, default=0) if self.config else tokenizer.model_max_length
            self.max_length = longest if 0 < longest < 1 << 30 else None  # transformers writes 1e30 for "no limit known"
        if model.backend != "hf":  # transformers heeds the model's own generation_config.json, lm-eval's other classes do not
            try:
                penalty = GenerationConfig.from_pretrained(model.path, revision=model.revision).repetition_penalty or 1.0
            except OSError:
                penalty = 1.0
            self.extra_decoding = {"repetition_penalty": penalty} if penalty != 1.0 else {}
        if model.backend == "vllm":
            self.extra_decoding |= {"skip_special_tokens": True}  # as HFLM decodes

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> Any:
        """The prompt of a talk; of a chat server the talk itself, as lm-eval hands it on."""
        import json

        from jinja2.exceptions import TemplateError

        if not self.renders:
            return JsonChatStr(json.dumps(chat_history, ensure_ascii=False))
        options = {
            "tokenize": False, "add_generation_prompt": add_generation_prompt, "continue_final_message": not add_generation_prompt
        }  # fmt: skip
        try:
            return self.tokenizer.apply_chat_template(chat_history, **options)
        except TemplateError:
            rest = [message for message in chat_history if message["role"] != "system"]
            if len(rest) == len(chat_history):
                raise
            log.warning("the model's chat template takes no system message: prompts are without it")
            return self.tokenizer.apply_chat_template(rest, **options)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template's text; that of a chat server is not known here."""
        return super().chat_template(chat_template) if self.renders else ""

    def bare(self, text: str) -> bool:
        """Whether a prompt's tokens are those of its text alone: a template, or the text itself, puts what else is wanted first."""
        return self.chat or has_bos_prefix(text, self.tokenizer.bos_token)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each prompt the tokens that a backend feeds to the model."""
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
        """The tokens of one text, with a beginning-of-text token only where no template wrote the text."""
        if add_special_tokens is None:
            add_special_tokens = not (self.chat or has_bos_prefix(string, self.tokenizer.decode(self.prefix_token_id)))
        ids: list[int] = self.tokenizer.encode(string, add_special_tokens=add_special_tokens)
        return ids

    def pairs(self, asks: Sequence[Ask]) -> list[tuple[list[int], list[int]]]:
        """The tokens of (context, continuation), split as lm-eval splits them."""
        split: Any = super().loglikelihood(asks, disable_tqdm=True)  # type: ignore[arg-type] # ends in `_loglikelihood_tokens`
        return [(context, continuation) for _, context, continuation in split]

    def _loglikelihood_tokens(self, requests: Any, **_: Any) -> Any:
        return requests

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """lm-eval's call."""
        return self._asked("generate_until", requests)

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: ARG002
        """lm-eval's call."""
        return self._asked("loglikelihood", requests)

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """lm-eval's call."""
        return self._asked("loglikelihood_rolling", requests)

    def _asked(self, kind: str, requests: Any) -> list[Any]:
        assert self.answer is not None, "replies.keep comes first"
        return self.answer(kind, requests)

    @property
    def eot_token_id(self) -> Any:
        """The token that ends a reply."""
        return self.tokenizer.eos_token_id if self.tokenizer is not None else None

    @property
    def prefix_token_id(self) -> Any:
        """What a text without context is scored after."""
        return self.eot_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        """For lm-eval's cache of requests (not used here)."""
        return hashlib.sha256(self.model.path.encode()).hexdigest()[:12]

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval's HF class says of a model, without its weights."""
        if self.model.backend == "server" or self.config is None:
            return {}
        return {
            "model_num_parameters": self.parameters,
            "model_dtype": str(getattr(self.config, "dtype", None) or "") if self.model.dtype == "auto" else self.model.dtype,
            "model_revision": self.model.revision,
            "model_sha": self.commit or "",
        }

    @property
    def commit(self) -> str | None:
        """The hub's commit that the config came from; None of a local folder."""
        return getattr(self.config, "_commit_hash", None)

    @cached_property
    def parameters(self) -> int:
        """How many the model has; -1 where that cannot be told without loading it."""
        return _parameters(self.config, self.model.trust_remote_code)


def _parameters(config: Any, trust_remote_code: bool) -> int:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return int(AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code).num_parameters())
    except (ValueError, RuntimeError, NotImplementedError, ImportError, OSError):
        return -1
