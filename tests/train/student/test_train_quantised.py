"""QLoRA as far as it can be tried here: its configuration, its refusal, and, where bitsandbytes is installed, a run on the CPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gra.errors import ConfigError
from gra.hub import commit_of
from gra.train import stage
from gra.train.distributed import hardware
from gra.train.settings import SftSettings, TrainSettings
from gra.train.student import quantised


def test_what_the_weights_are_loaded_with() -> None:
    import torch

    recipe = {"learning_rate": 1e-4, "global_batch": 8, "cutoff_length": 64}
    assert quantised.loading(SftSettings.model_validate({**recipe, "method": "lora"})) == {}
    found = quantised.loading(SftSettings.model_validate({**recipe, "method": "qlora"}))
    config = found["quantization_config"].to_dict()
    stated = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    assert {key: config[key] for key in stated} == stated
    assert config["bnb_4bit_compute_dtype"] == "bfloat16"
    assert found["device_map"] == {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"}


@pytest.mark.skipif(
    bool(hardware.here().gpus) and importlib.util.find_spec("bitsandbytes") is not None, reason="it would run here"
)
def test_refused_where_it_cannot_run(config: Any, data_folder: Path, student_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"qlora needs .*(bitsandbytes|GPU)"):
        stage.run(config(method="qlora", precision="bf16"), {"data": data_folder, "student": student_folder}, tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_a_run_in_4_bits(config: Any, data_folder: Path, student_folder: Path, tmp_path: Path) -> None:
    """Past the check, which wants a GPU: bitsandbytes can do it on a CPU, slowly. The merged model is the adapter's and the
    unrounded weights'."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from gra.train.loop import sft

    recipe = config(method="qlora", precision="bf16", epochs=4, learning_rate=1e-2, lora={"rank": 4, "alpha": 8})
    metrics = sft.train(
        TrainSettings.model_validate(recipe), {"data": data_folder, "student": student_folder}, tmp_path
    )
    base = AutoModelForCausalLM.from_pretrained(student_folder / "model")
    assert metrics["parameters"] == base.num_parameters() + metrics["trained_parameters"]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert not hasattr(merged.config, "quantization_config")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        plain = base(ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, atol=2e-2, rtol=2e-2)
    assert (adapted - plain).abs().max() > 0.1


def test_the_adapter_is_merged_into_the_revision_that_it_was_trained_on(
    tiny_chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of the hub's cache with two revisions: `main` holds other weights than the one that was trained."""
    import torch
    from huggingface_hub import constants
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    base, folder = AutoModelForCausalLM.from_pretrained(tiny_chat_model), tmp_path / "models--who--tiny"
    for name, commit in (("trained", "a" * 40), ("main", "b" * 40)):
        base.save_pretrained(folder / "snapshots" / commit)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / name).write_text(commit)
        with torch.no_grad():
            base.get_input_embeddings().weight += 1
    assert commit_of("who/tiny") == "b" * 40
    assert commit_of("who/tiny", "trained") == commit_of("who/tiny", "a" * 40) == "a" * 40
    assert commit_of("who/tiny", "gone") is commit_of("who/other") is commit_of(str(tiny_chat_model)) is None

    trained = AutoModelForCausalLM.from_pretrained(folder / "snapshots" / ("a" * 40))
    model = get_peft_model(trained, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    model.save_pretrained(tmp_path / "adapter")
    made = []
    for revision in ("trained", "main"):
        options = {"revision": revision, "cache_dir": str(tmp_path)}
        made.append(quantised.merged(model, tmp_path / "adapter", "who/tiny", options).get_input_embeddings().weight)
    torch.testing.assert_close(made[0].float(), trained.get_input_embeddings().weight, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(made[1].float(), made[0].float() + 1, atol=1e-2, rtol=1e-2)
