"""Loads and merges models for QLoRA (Dettmers et al., https://arxiv.org/abs/2305.14314).

During training, the model's weights are frozen in 4 bits (NF4, double quantisation, matrix products in bfloat16), and
only a LoRA adapter is trained. After training, the adapter is merged into the unquantised weights. `train/conflicts.py`
rejects QLoRA if bitsandbytes or a GPU is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gra.train.settings import SftSettings


def loading(sft: SftSettings) -> dict[str, Any]:
    """Return the arguments with which `from_pretrained` loads the model in 4 bits for QLoRA; {} without QLoRA."""
    if sft.method != "qlora":
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": config, "device_map": {"": device}}


def merged(model: Any, adapter: Path, base: str, options: dict[str, Any]) -> Any:
    """Load the base model in bfloat16 on the CPU, merge the saved adapter into it, and return it.

    `model`: the trained PeftModel with 4-bit weights.
    `adapter`: the folder of the saved adapter.
    `base`: the folder or hub id of the base model.
    `options`: the arguments for `from_pretrained` (see `load.source`).

    The adapter was trained on the 4-bit weights, but it is merged into the unquantised weights. A merge into the 4-bit
    weights would keep their rounding error and round the result to 4 bits again.
    """
    import torch
    from peft import PeftModel

    trained = model.get_base_model()
    whole = type(trained).from_pretrained(base, dtype=torch.bfloat16, **options)
    rows = trained.get_input_embeddings().weight.shape[0]
    if whole.get_input_embeddings().weight.shape[0] != rows:
        whole.resize_token_embeddings(rows)
    for name in ("eos_token_id", "pad_token_id"):
        setattr(whole.config.get_text_config(), name, getattr(trained.config.get_text_config(), name))
    whole.generation_config = trained.generation_config
    return PeftModel.from_pretrained(whole, adapter).merge_and_unload()
