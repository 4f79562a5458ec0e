"""Backend `hf`: runs lm-eval's HFLM in this process or, on several GPUs, in one process per GPU.

Each process answers whole batches. Neither the batches nor the result depend on the number of processes. torchrun and
accelerate are not used, because lm-eval would then split the items between ranks before it forms batches, which changes
the batches. It would also use the local rank as the global rank, so several nodes would evaluate the same items.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from gra.errors import EvalError
from gra.eval.backends import ModelRequest, OnReplies, Reply, batches
from gra.eval.backends.ended import Ended, at_limit
from gra.eval.backends.processes import Processes
from gra.eval.settings import Model, Runtime
from gra.private_api.lm_eval import generating_through

CPU_BATCH = 64  # sequences in a batch on a CPU, which runs only tiny models; measured: larger batches are not faster
MOST = 256  # most sequences in a batch on a GPU: beyond it, a step's time grows in proportion to the number
SHARE = 0.8  # share of a GPU's memory that a batch may use
log = logging.getLogger(__name__)


class LocalModel:
    """lm-eval's model class HFLM on one device. Raises EvalError if the model cannot be loaded."""

    def __init__(self, model: Model, chat: bool, device: str):
        from lm_eval.models.huggingface import HFLM

        try:
            self.lm = HFLM(
                pretrained=model.path,
                revision=model.revision,
                dtype=model.dtype,
                device=device,
                batch_size=1,
                trust_remote_code=model.trust_remote_code,
                add_bos_token=False if chat else None,
                max_length=model.max_length,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
            raise EvalError(
                f"model {model.path}: cannot be loaded on {device}: {error}\n"
                "    -> check that its files are complete; if memory is short: stop other programs on the device, set "
                "model.dtype=bfloat16, or split the model across GPUs (model.backend=vllm runtime.tensor_parallel_size=N)"
            ) from error

    def answer(self, kind: str, requests: Sequence[ModelRequest]) -> list[Any]:
        """Answer one batch. If it does not fit into the GPU's memory, answer its two halves one after the other.

        Raises EvalError if a single prompt does not fit.
        """
        import torch

        self.lm.batch_size_per_gpu = len(requests)  # else HFLM would choose a size at each call
        try:
            if kind == "generate_until":
                return self._generated(requests)
            return list(getattr(self.lm, kind)(list(requests), disable_tqdm=True))
        except torch.OutOfMemoryError:
            if len(requests) == 1:
                raise EvalError(
                    f"{requests[0].task}: the GPU's memory is too small for one prompt of {len(requests[0].ids)} tokens and its "
                    "reply\n    -> lower suite.max_new_tokens or model.max_length"
                ) from None
        torch.cuda.empty_cache()
        log.warning("a batch of %d prompts does not fit into the GPU's memory: it is split in halves", len(requests))
        half = len(requests) // 2
        return [reply for part in (requests[:half], requests[half:]) for reply in self.answer(kind, part)]

    def _generated(self, requests: Sequence[ModelRequest]) -> list[Reply]:
        """Return the replies. Each states whether it was truncated, which HFLM does not report."""
        ended = Ended(self.lm.max_length)
        limit = int(requests[0].decoding["max_gen_toks"])

        def noted(generate: Any, **given: Any) -> Any:
            made = generate(**given)
            start, texts = given["context"].shape[1], [stop for stop in given["stop"] if stop]
            for prompt, mask, whole in zip(given["context"], given["attention_mask"], made, strict=True):
                ids = whole[start:].tolist()
                text = self.lm.tokenizer.decode(ids) if len(ids) >= limit else ""
                ended.note(prompt[mask.bool()].tolist(), at_limit(ids, limit, self._ends, text, texts))
            return made

        with generating_through(self.lm, lambda generate: partial(noted, generate)):
            texts = self.lm.generate_until(list(requests), disable_tqdm=True)
        return [Reply(text, ended.of(request)) for request, text in zip(requests, texts, strict=True)]

    @property
    def _ends(self) -> set[int]:
        """Return the tokens that end a reply: those of the tokenizer and of the model's generation config."""
        config = getattr(self.lm.model, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        return {self.lm.eot_token_id, *(named if isinstance(named, list) else [named])} - {None}


class HF:
    """The EvalBackend that runs the model with transformers.

    The model's config and its number of parameters determine batch sizes.
    """

    def __init__(self, model: Model, runtime: Runtime, chat: bool, config: Any, parameters: int):
        self._model, self._runtime, self._chat, self._config, self._parameters = (
            model,
            runtime,
            chat,
            config,
            parameters,
        )
        self._devices = devices(runtime)
        self._here: LocalModel | None = None
        self._others: Processes | None = None

    def cut(self, kind: str, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """See EvalBackend."""
        if kind == "loglikelihood":
            return batches.likelihoods(requests, self._size(kind))
        return batches.generations(requests, self._size(kind))

    def answer(self, kind: str, pieces: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """See EvalBackend."""
        if len(self._devices) > 1:
            if self._others is None:
                self._others = Processes(LocalModel, self._model, self._chat, self._devices, self._runtime.threads)
            self._others.answer(kind, pieces, on_replies)
            return
        if self._here is None:
            self._here = LocalModel(self._model, self._chat, self._devices[0])
        for piece in pieces:
            on_replies(piece, self._here.answer(kind, piece))

    def close(self) -> None:
        """See EvalBackend."""
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
    """Return a function that estimates how many sequences fit into `memory` bytes.

    The estimate counts the sequences' keys and values, the intermediate values of one layer, and the logits.

    `width`: the number of bytes per weight or activation.
    `kind`: lm-eval's request type.

    lm-eval can also search for a batch size, but its search is not used. For generation, the search tries sequences
    as long as the model's whole context (131,072 tokens for Llama 3.1), and finds that only one of them fits.
    """
    text = getattr(config, "text_config", None) or config
    hidden, heads = text.hidden_size, text.num_attention_heads
    heads_kept = getattr(text, "num_key_value_heads", None) or heads
    kept = 2 * text.num_hidden_layers * heads_kept * (getattr(text, "head_dim", None) or hidden // heads) * width
    passing = 4 * ((getattr(text, "intermediate_size", None) or 4 * hidden) + hidden) * width
    logits = 3 * 4 * text.vocab_size  # float32, with the copies made by normalisation

    def size(prompt: int, reply: int) -> int:
        if kind == "generate_until":
            need = (prompt + reply) * kept * 5 // 4 + prompt * passing + logits
        else:
            need = prompt * (kept + passing + logits)
        return max(1, min(MOST, memory // max(1, need)))

    return size


def devices(runtime: Runtime) -> list[str]:
    """Return the device of each copy of the model. Raises EvalError if a device is missing."""
    import torch

    device, wanted = runtime.device, runtime.processes
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if there else "cpu"
    if device.startswith("cuda") and not there:
        raise EvalError(f"runtime.device={device}: no CUDA device is visible\n    -> set runtime.device=cpu or auto")
    if device == "cuda":
        count = there if wanted == "auto" else wanted
        if count > there:
            raise EvalError(f"runtime.processes={count}, but {there} GPU(s) are visible\n    -> set at most {there}")
        return [f"cuda:{number}" for number in range(count)]
    count = 1 if wanted == "auto" else wanted
    if count > 1 and device != "cpu":
        raise EvalError(
            f"runtime.processes={count}, but runtime.device={device}\n    -> set runtime.device=cuda to use several GPUs"
        )
    return [device] * count
