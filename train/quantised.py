"""QLoRA: the frozen weights in 4 bits (NF4, double quantisation, bfloat16 products), adapters beside them
(Dettmers et al., https://arxiv.org/abs/2305.14314), and a merged model made of the weights as they were before.

`train.conflicts` refuses it where bitsandbytes or a GPU is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.settings import SftSettings


def loading(sft: SftSettings) -> dict[str, Any]:
    """What `from_pretrained` needs for 4-bit weights on this process's device; nothing under another method."""
    if sft.method != "qlora":
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": config, "device_map": {"": device}}


def merged(model: Any, adapter: Path) -> Any:
    """The base in bfloat16, loaded anew on the CPU, with the adapter saved in `adapter` merged into it.

    `model`: the trained PeftModel over 4-bit weights. Merging into those instead would publish their rounding, and would round
    the adapter's sum with them to 4 bits again. What the adapter was trained beside and what it is merged into differ by that
    rounding: scores are of the merged model.
    """
    import torch
    from peft import PeftModel

    trained = model.get_base_model()
    revision = getattr(trained.config, "_commit_hash", None)  # of a hub id: the very files that were trained on
    options = {} if revision is None else {"revision": revision}
    base = type(trained).from_pretrained(trained.config._name_or_path, dtype=torch.bfloat16, **options)
    rows = trained.get_input_embeddings().weight.shape[0]
    if base.get_input_embeddings().weight.shape[0] != rows:
        base.resize_token_embeddings(rows)
    for name in ("eos_token_id", "pad_token_id"):
        setattr(base.config.get_text_config(), name, getattr(trained.config.get_text_config(), name))
    base.generation_config = trained.generation_config
    return PeftModel.from_pretrained(base, adapter).merge_and_unload()
