"""Backend `vllm`: lm-eval's VLLM class, where vLLM is installed. It is given the prompts that are rendered here.

Replies come, and are kept, by chunks of CHUNK requests: a killed run asks again what was in its last chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.backends import Ask, Reply, Told, batches
from eval.backends.ended import Ended
from eval.settings import Model, Runtime
from gra.errors import EvalError

CHUNK = 256  # requests that vLLM schedules by itself: as many as it runs at once by default (its max_num_seqs)


class VLLM:
    """A `backends.Backend`."""

    def __init__(self, model: Model, runtime: Runtime, chat: bool):
        self._model, self._runtime, self._chat = model, runtime, chat
        self._lm: Any = None

    def cut(self, kind: str, asks: Sequence[Ask]) -> list[list[Ask]]:
        """See backends.Backend."""
        cut = batches.likelihoods if kind == "loglikelihood" else batches.generations
        return cut(asks, batches.always(CHUNK))

    def answer(self, kind: str, pieces: Sequence[Sequence[Ask]], told: Told) -> None:
        """See backends.Backend."""
        if self._lm is None:
            self._lm = self._load()
        for piece in pieces:
            if kind == "generate_until":
                told(piece, self._generated(piece))
            else:
                told(piece, getattr(self._lm, kind)(list(piece), disable_tqdm=True))

    def _generated(self, piece: Sequence[Ask]) -> list[Reply]:
        """The replies, each with what vLLM gives as the reason of its end, which lm-eval's class drops."""
        lm = self._lm
        generate, ended = lm._model_generate, Ended(lm.max_length)

        def noted(**given: Any) -> Any:
            outputs = generate(**given)
            for ids, output in zip(given["requests"], outputs, strict=True):
                why = getattr(output.outputs[0], "finish_reason", None)
                ended.note(ids, None if why is None else why == "length")
            return outputs

        lm._model_generate = noted
        try:
            texts = lm.generate_until(list(piece), disable_tqdm=True)
        finally:
            lm._model_generate = generate
        return [Reply(text, ended.of(ask)) for ask, text in zip(piece, texts, strict=True)]

    def close(self) -> None:
        """See backends.Backend."""
        self._lm = None

    def _load(self) -> Any:
        try:
            from lm_eval.models import vllm_causallms
        except ImportError as error:
            raise EvalError(f"model.backend=vllm: {error}\n    -> install vllm, or set model.backend=hf") from error
        model, runtime = self._model, self._runtime
        try:
            return vllm_causallms.VLLM(
                pretrained=model.path, revision=model.revision, dtype=model.dtype, trust_remote_code=model.trust_remote_code,
                tokenizer_revision=model.revision, add_bos_token=False if self._chat else None, max_model_len=model.max_length,
                tensor_parallel_size=runtime.tensor_parallel_size, data_parallel_size=runtime.data_parallel_size,
                gpu_memory_utilization=runtime.gpu_memory_utilization, batch_size="auto",
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EvalError(
                f"model {model.path}: vLLM cannot load it: {error}\n"
                "    -> where memory is short: model.max_length=N (prompt and reply together), runtime.tensor_parallel_size=N"
            ) from error
