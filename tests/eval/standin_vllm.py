"""Writes a package `vllm` that lm-eval's VLLM class takes for the real one: the same names and calls, and no model.

It keeps the token ids that it is given in `vllm.asked`, and answers with their number.
"""

from __future__ import annotations

from pathlib import Path

_FILES = {
    "vllm/__init__.py": """
from types import SimpleNamespace
asked, made = [], []

class SamplingParams:
    def __init__(self, max_tokens=16, stop=(), temperature=1.0, skip_special_tokens=True, spaces_between_special_tokens=True,
                 prompt_logprobs=None, detokenize=True, repetition_penalty=1.0):
        self.max_tokens, self.stop, self.temperature = max_tokens, list(stop), temperature
        self.skip_special_tokens, self.prompt_logprobs = skip_special_tokens, prompt_logprobs

class TokensPrompt(dict):
    pass

class LLM:
    def __init__(self, **given):
        made.append(given)
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=given["max_model_len"] or 4096))

    def generate(self, prompts, sampling_params, use_tqdm, lora_request):
        found = []
        for prompt, params in zip(prompts, sampling_params, strict=True):
            ids = prompt["prompt_token_ids"]
            asked.append((ids, params))
            logprobs = [None, *({token: -0.5} for token in ids[1:])] if params.prompt_logprobs else None
            text = f"I heard {len(ids)}" + params.stop[-1] if params.stop else ""
            found.append(SimpleNamespace(outputs=[SimpleNamespace(text=text)], prompt_logprobs=logprobs))
        return found
""",
    "vllm/lora/__init__.py": "",
    "vllm/lora/request.py": "class LoRARequest:\n    pass\n",
    "vllm/renderers/__init__.py": "",
    "vllm/renderers/hf.py": (
        "def resolve_chat_template(tokenizer, chat_template, tools, model_config):\n    return tokenizer.chat_template\n"
    ),
    "vllm/tokenizers.py": (
        "from transformers import AutoTokenizer\n"
        "def get_tokenizer(name, tokenizer_mode, trust_remote_code, revision, **options):\n"
        "    return AutoTokenizer.from_pretrained(name, revision=revision, **options)\n"
    ),
    "vllm-0.19.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0.19.0\n",
}


def install(folder: Path) -> Path:
    """Write the package; `folder` is to be put on sys.path."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
