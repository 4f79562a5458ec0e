"""Runs a vLLM engine in a child process, with requests and replies as lines of JSON: `PYTHON vllm_worker.py SOCKET`

Run it by its path with any Python that has vLLM. GRA need not be installed there, because this file imports nothing
from GRA. It uses vLLM's documented LLMEngine (EngineArgs, add_request, step, abort_request; docs:
examples/llm_engine_example), which accepts new requests between two steps, so no request waits for the slowest of a
batch.

In: first {"engine": EngineArgs, "template": {...}}, then {"id", "messages", "temperature", "top_p", "max_tokens",
"seed", "schema", "top"} or {"abort": id}. Out: {"ready": version}, then {"id", "text", "tokens_in", "tokens_out",
"finish", "first"} or {"id", "error"}. `top`: number of most likely first tokens to return as `first`: [[token,
probability], ...].
"""

from __future__ import annotations

import importlib
import json
import math
import os
import select
import socket
import sys
from typing import Any


def main(path: str) -> None:
    # With the engine in this process, scheduling is deterministic (vLLM docs, "Reproducibility").
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    with Wire(path) as wire:
        settings = wire.receive(block=True)[0]
        import vllm
        from vllm import EngineArgs, LLMEngine

        engine = LLMEngine.from_engine_args(EngineArgs(**settings["engine"]))
        tokenizer = engine.get_tokenizer()
        refusals = (ValueError, getattr(importlib.import_module("vllm.exceptions"), "VLLMClientError", ValueError))
        wire.send({"ready": vllm.__version__})
        while True:
            for message in wire.receive(block=not engine.has_unfinished_requests()):
                if "abort" in message:
                    engine.abort_request([message["abort"]])
                    continue
                try:
                    prompt = prompt_of(tokenizer, message, settings["template"])
                    engine.add_request(message["id"], prompt, params_of(message))
                except refusals as error:  # the request is at fault, e.g. it is too long or has an unsupported schema
                    wire.send({"id": message["id"], "error": f"refused by vLLM: {str(error)[:500]}"})
            if engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        wire.send(reply_of(output))


class Wire:
    """The socket, as a queue of messages in each direction."""

    def __init__(self, path: str):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._rest = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, *, block: bool) -> list[dict[str, Any]]:
        """Return the messages that have arrived. `block`: whether to wait until there is at least one. Raises
        SystemExit if the process at the other end has closed the socket."""
        found: list[dict[str, Any]] = []
        while select.select([self._socket], [], [], None if block and not found else 0)[0]:
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                raise SystemExit(0)  # no process is left that reads replies
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            found += [json.loads(line) for line in lines]
        return found


def prompt_of(tokenizer: Any, message: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """Return the prompt of a message as token ids. The chat template writes the special tokens, so the tokenizer adds
    none."""
    text = tokenizer.apply_chat_template(message["messages"], tokenize=False, add_generation_prompt=True, **template)
    return {"prompt_token_ids": list(tokenizer.encode(text, add_special_tokens=False))}


def params_of(message: dict[str, Any]) -> Any:
    """Return the vllm.SamplingParams for the request in `message`. They contain only values from `message`, not the
    top_k or the penalties of the model's generation_config."""
    from vllm import SamplingParams

    options = {key: message[key] for key in ("temperature", "top_p", "max_tokens", "seed")}
    if message["top"]:
        options |= {"logprobs": message["top"], "max_tokens": 1}
    if message["schema"] is not None:
        try:
            from vllm.sampling_params import StructuredOutputsParams

            options["structured_outputs"] = StructuredOutputsParams(json=message["schema"])
        except ImportError:  # before vLLM 0.11
            from vllm.sampling_params import GuidedDecodingParams

            options["guided_decoding"] = GuidedDecodingParams(json=message["schema"])
    return SamplingParams(**options)


def reply_of(output: Any) -> dict[str, Any]:
    """Return a finished vllm.RequestOutput as a message."""
    answer = output.outputs[0]
    return {
        "id": output.request_id,
        "text": answer.text,
        "finish": answer.finish_reason or "stop",
        "tokens_in": len(output.prompt_token_ids or ()),
        "tokens_out": len(answer.token_ids),
        "first": first_of(answer),
    }


def first_of(answer: Any) -> list[list[Any]] | None:
    """Return the most likely first tokens of a vllm.CompletionOutput with their probabilities. Return None if they were
    not requested."""
    logprobs = getattr(answer, "logprobs", None)
    if not logprobs:
        return None
    return [
        [entry.decoded_token, math.exp(entry.logprob)]
        for entry in logprobs[0].values()
        if entry.decoded_token is not None
    ]


if __name__ == "__main__":
    main(sys.argv[1])
