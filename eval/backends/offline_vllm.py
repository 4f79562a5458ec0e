"""Backend `vllm`: runs lm-eval's VLLM class, if vLLM is installed, on the prompts rendered by front.py.

Replies are stored after every CHUNK requests, so a killed run repeats at most one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gra.errors import EvalError
from gra.eval.backends import ModelRequest, OnReplies, Reply, batches
from gra.eval.backends.ended import Ended
from gra.eval.settings import Model, Runtime
from gra.private_api.lm_eval import generating_through

CHUNK = 256  # requests per call of vLLM: its default max_num_seqs, the number of sequences that it runs at once


class VLLM:
    """The EvalBackend for vLLM."""

    def __init__(self, model: Model, runtime: Runtime, chat: bool):
        self._model, self._runtime, self._chat = model, runtime, chat
        self._lm: Any = None

    def cut(self, kind: str, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """See EvalBackend."""
        cut = batches.likelihoods if kind == "loglikelihood" else batches.generations
        return cut(requests, batches.always(CHUNK))

    def answer(self, kind: str, pieces: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """See EvalBackend."""
        if self._lm is None:
            self._lm = self._load()
        for piece in pieces:
            if kind == "generate_until":
                on_replies(piece, self._generated(piece))
            else:
                on_replies(piece, getattr(self._lm, kind)(list(piece), disable_tqdm=True))

    def _generated(self, piece: Sequence[ModelRequest]) -> list[Reply]:
        """Return the replies. Each states whether it was truncated.

        This is known from vLLM's finish reason, which lm-eval's class drops.
        """
        ended = Ended(self._lm.max_length)

        def noted(generate: Any, /, **given: Any) -> Any:  # lm-eval gives a keyword `generate` too
            outputs = generate(**given)
            for ids, output in zip(given["requests"], outputs, strict=True):
                why = getattr(output.outputs[0], "finish_reason", None)
                ended.note(ids, None if why is None else why == "length")
            return outputs

        with generating_through(self._lm, lambda generate: partial(noted, generate)):
            texts = self._lm.generate_until(list(piece), disable_tqdm=True)
        return [Reply(text, ended.of(request)) for request, text in zip(piece, texts, strict=True)]

    def close(self) -> None:
        """See EvalBackend."""
        self._lm = None

    def _load(self) -> Any:
        try:
            from lm_eval.models import vllm_causallms
        except ImportError as error:
            raise EvalError(f"model.backend=vllm: {error}\n    -> install vllm, or set model.backend=hf") from error
        model, runtime = self._model, self._runtime
        try:
            return vllm_causallms.VLLM(
                pretrained=model.path,
                revision=model.revision,
                dtype=model.dtype,
                trust_remote_code=model.trust_remote_code,
                tokenizer_revision=model.revision,
                add_bos_token=False if self._chat else None,
                max_model_len=model.max_length,
                tensor_parallel_size=runtime.tensor_parallel_size,
                data_parallel_size=runtime.data_parallel_size,
                gpu_memory_utilization=runtime.gpu_memory_utilization,
                batch_size="auto",
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EvalError(
                f"model {model.path}: vLLM cannot load it: {error}\n"
                "    -> if memory is short: set model.max_length=N (prompt and reply together) or runtime.tensor_parallel_size=N"
            ) from error
