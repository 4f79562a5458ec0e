"""Backend `hf`: lm-eval's HFLM, in this process or, on several GPUs, in one process each that answers whole batches.

Which process answers a batch changes nothing in it, so a result does not depend on how many there are. torchrun and accelerate
are not used for this: lm-eval splits the items between ranks before batches are cut, so that other batches are made, and takes
the number of a process on its machine for its rank, so that several machines evaluate the same items.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from eval.backends import Ask, Reply, Told, batches
from eval.backends.ended import Ended, at_limit
from eval.backends.processes import Processes
from eval.settings import Model, Runtime
from gra.errors import EvalError

CPU_BATCH = 64  # of the tiny models that run on a CPU; measured: larger ones gain nothing there
MOST = 256  # sequences in a batch on a GPU: beyond it a step's time grows with their number
SHARE = 0.8  # of a GPU's memory that is planned with
log = logging.getLogger(__name__)


class Local:
    """HFLM on one device. Raises EvalError."""

    def __init__(self, model: Model, chat: bool, device: str):
        from lm_eval.models.huggingface import HFLM

        try:
            self.lm = HFLM(
                pretrained=model.path, revision=model.revision, dtype=model.dtype, device=device, batch_size=1,
                trust_remote_code=model.trust_remote_code, add_bos_token=False if chat else None, max_length=model.max_length,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
            raise EvalError(
                f"model {model.path}: cannot be loaded on {device}: {error}\n    -> see whether its files are whole; where memory "
                "is short: end what else uses the device, set model.dtype=bfloat16, or share the model between GPUs "
                "(model.backend=vllm runtime.tensor_parallel_size=N)"
            ) from error

    def answer(self, kind: str, asks: Sequence[Ask]) -> list[Any]:
        """One batch; where the GPU's memory is too small for it, its halves one after the other."""
        import torch

        self.lm.batch_size_per_gpu = len(asks)  # else HFLM would cut by itself, or measure what fits, at each call
        try:
            if kind == "generate_until":
                return self._generated(asks)
            return list(getattr(self.lm, kind)(list(asks), disable_tqdm=True))
        except torch.OutOfMemoryError:
            if len(asks) == 1:
                raise EvalError(
                    f"{asks[0].task}: the GPU's memory is too small for one prompt of {len(asks[0].ids)} tokens and its answer\n"
                    "    -> set suite.max_new_tokens or model.max_length to less"
                ) from None
        torch.cuda.empty_cache()
        log.warning("%d prompts at once do not fit into the GPU's memory: asked in halves", len(asks))
        half = len(asks) // 2
        return [reply for part in (asks[:half], asks[half:]) for reply in self.answer(kind, part)]

    def _generated(self, asks: Sequence[Ask]) -> list[Reply]:
        """The replies, each with whether it ended at its limit, which HFLM does not tell."""
        generate, ended = self.lm._model_generate, Ended(self.lm.max_length)
        limit = int(asks[0].decoding["max_gen_toks"])

        def noted(**given: Any) -> Any:
            made = generate(**given)
            start, texts = given["context"].shape[1], [stop for stop in given["stop"] if stop]
            for prompt, mask, whole in zip(given["context"], given["attention_mask"], made, strict=True):
                ids = whole[start:].tolist()
                text = self.lm.tokenizer.decode(ids) if len(ids) >= limit else ""
                ended.note(prompt[mask.bool()].tolist(), at_limit(ids, limit, self._ends, text, texts))
            return made

        self.lm._model_generate = noted  # type: ignore[method-assign]
        try:
            texts = self.lm.generate_until(list(asks), disable_tqdm=True)
        finally:
            self.lm._model_generate = generate  # type: ignore[method-assign]
        return [Reply(text, ended.of(ask)) for ask, text in zip(asks, texts, strict=True)]

    @property
    def _ends(self) -> set[int]:
        """The tokens that end a reply: the tokenizer's, and those of the model's generation config."""
        config = getattr(self.lm.model, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        return {self.lm.eot_token_id, *(named if isinstance(named, list) else [named])} - {None}


class HF:
    """A `backends.Backend`. `config`: the model's, for the size of batches; `parameters`: their number, likewise."""

    def __init__(self, model: Model, runtime: Runtime, chat: bool, config: Any, parameters: int):
        self._model, self._runtime, self._chat, self._config, self._parameters = model, runtime, chat, config, parameters
        self._devices = devices(runtime)
        self._here: Local | None = None
        self._others: Processes | None = None

    def cut(self, kind: str, asks: Sequence[Ask]) -> list[list[Ask]]:
        """See backends.Backend."""
        if kind == "loglikelihood":
            return batches.likelihoods(asks, self._size(kind))
        return batches.generations(asks, self._size(kind))

    def answer(self, kind: str, pieces: Sequence[Sequence[Ask]], told: Told) -> None:
        """See backends.Backend."""
        if len(self._devices) > 1:
            if self._others is None:
                self._others = Processes(self._model, self._chat, self._devices, self._runtime.threads)
            self._others.answer(kind, pieces, told)
            return
        if self._here is None:
            self._here = Local(self._model, self._chat, self._devices[0])
        for piece in pieces:
            told(piece, self._here.answer(kind, piece))

    def close(self) -> None:
        """See backends.Backend."""
        if self._others is not None:
            self._others.close()
        self._here = self._others = None

    def _size(self, kind: str) -> batches.Size:
        import torch

        given = self._runtime.batch_size
        if given != "auto":
            return batches.always(given)
        if not self._devices[0].startswith("cuda"):
            return batches.always(CPU_BATCH)
        memory = min(torch.cuda.get_device_properties(device).total_memory for device in self._devices)
        stored = getattr(getattr(self._config, "dtype", None), "itemsize", 2)
        width: int = {"float32": 4, "bfloat16": 2, "float16": 2}.get(self._model.dtype, stored)
        return fitting(self._config, int(SHARE * memory) - max(0, self._parameters) * width, width, kind)


def fitting(config: Any, memory: int, width: int, kind: str) -> batches.Size:
    """How many sequences fit into `memory` bytes: their keys and values, a layer's intermediate values, the logits.

    `width`: bytes of a number. Not lm-eval's own search for a batch size: for generation that tries the model's whole
    context, 131,072 tokens of Llama 3.1, and so settles for a batch of one.
    """
    text = getattr(config, "text_config", None) or config
    hidden, heads = text.hidden_size, text.num_attention_heads
    heads_kept = getattr(text, "num_key_value_heads", None) or heads
    kept = 2 * text.num_hidden_layers * heads_kept * (getattr(text, "head_dim", None) or hidden // heads) * width
    passing = 4 * ((getattr(text, "intermediate_size", None) or 4 * hidden) + hidden) * width
    logits = 3 * 4 * text.vocab_size  # float32, and copies of it while they are normalised

    def size(prompt: int, reply: int) -> int:
        if kind == "generate_until":
            need = (prompt + reply) * kept * 5 // 4 + prompt * passing + logits
        else:
            need = prompt * (kept + passing + logits)
        return max(1, min(MOST, memory // max(1, need)))

    return size


def devices(runtime: Runtime) -> list[str]:
    """The device of each copy of the model. Raises EvalError for what is not there."""
    import torch

    device, wanted = runtime.device, runtime.processes
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if there else "cpu"
    if device.startswith("cuda") and not there:
        raise EvalError(f"runtime.device={device}: no CUDA device is visible here: set runtime.device=cpu or auto")
    if device == "cuda":
        count = there if wanted == "auto" else wanted
        if count > there:
            raise EvalError(f"runtime.processes={count}: {there} GPUs are visible here: set as many or fewer")
        return [f"cuda:{number}" for number in range(count)]
    count = 1 if wanted == "auto" else wanted
    if count > 1 and device != "cpu":
        raise EvalError(f"runtime.processes={count} with runtime.device={device}: set runtime.device=cuda to take several GPUs")
    return [device] * count
