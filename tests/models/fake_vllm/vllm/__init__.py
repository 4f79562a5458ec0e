"""Stands in for vLLM in the contract test of gra/models/local/vllm_worker.py: the same names, calls and refusals, no model.

It answers after as many steps as it has tokens to say, "DIE" ends the process, "LONG" is refused as vLLM refuses long prompts.
"""

import os
from dataclasses import dataclass
from types import SimpleNamespace

from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams

__version__ = "0.0-fake"


@dataclass
class EngineArgs:
    model: str
    revision: str | None = None
    dtype: str = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    trust_remote_code: bool = False
    seed: int | None = None
    max_num_seqs: int = 256


class LLMEngine:
    @classmethod
    def from_engine_args(cls, engine_args):
        print(f"fake vLLM loads {engine_args.model} {engine_args.dtype}", flush=True)
        if engine_args.model == "missing":
            raise OSError("missing is not a local folder and is not a valid model identifier")
        return cls(engine_args)

    def __init__(self, args):
        self._args, self._running = args, {}

    def get_tokenizer(self):
        def template(messages, tokenize, add_generation_prompt, **options):
            assert not tokenize
            assert add_generation_prompt
            return "".join(f"<{m['role']}>{m['content']}" for m in messages) + str(options or "")

        def encode(text, add_special_tokens):
            assert not add_special_tokens
            return [ord(c) for c in text]

        return SimpleNamespace(apply_chat_template=template, encode=encode)

    def add_request(self, request_id, prompt, params):
        assert isinstance(request_id, str)
        assert isinstance(params, SamplingParams)
        text = "".join(map(chr, prompt["prompt_token_ids"]))
        if "LONG" in text:
            raise VLLMValidationError("the prompt is longer than the maximum model length")
        if "DIE" in text:
            os._exit(9)
        self._running[request_id] = [params.max_tokens, text, prompt["prompt_token_ids"], params]
        return f"{request_id}-abcd"  # newer versions return an id of their own

    def abort_request(self, request_ids):
        for request_id in request_ids:
            print(f"aborted {request_id}", flush=True)
            self._running.pop(request_id, None)

    def has_unfinished_requests(self):
        return bool(self._running)

    def step(self):
        outputs = []
        for name, state in list(self._running.items()):
            state[0] -= 1
            finished = state[0] <= 0
            if finished:
                del self._running[name]
            schema = state[3].structured_outputs
            said = f"{self._args.model} heard {state[1]} at {state[3].temperature} seed {state[3].seed}"
            answer = SimpleNamespace(
                text=said if schema is None else str(schema.json),
                token_ids=[1, 2],
                finish_reason="stop" if finished else None,
            )
            outputs.append(
                SimpleNamespace(request_id=name, finished=finished, outputs=[answer], prompt_token_ids=state[2])
            )
        return outputs
