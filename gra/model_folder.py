"""What a folder is that was named as a model and holds none: the faults that evaluation and training can tell from its files."""

from __future__ import annotations

from pathlib import Path

CONFIG, ADAPTER = "config.json", "adapter_config.json"


def fault(folder: Path) -> tuple[str, str] | None:
    """(what is wrong, what to do) with a folder that transformers could not load as a model; None where it has a config.json."""
    if (folder / CONFIG).is_file():
        return None
    if (folder / ADAPTER).is_file():
        merged = folder.parent / "model"
        if _is_model(merged):
            return (
                f"{folder} holds a LoRA adapter alone, which is not a model",
                f"use {merged}: the same adapter, merged into its base",
            )
        remedy = (
            "merge it into its base (peft: PeftModel.from_pretrained, then merge_and_unload), and name the folder it is saved to"
        )
        return f"{folder} holds a LoRA adapter alone, which is not a model", remedy
    if _is_model(folder / "model"):
        return f"{folder} is a stage's output, not the model in it", f"use {folder / 'model'}"
    if not folder.is_dir():
        return f"not a model folder: {folder} is a file", "name the folder that save_pretrained wrote"
    return f"not a model folder: {folder} has no {CONFIG}", "name a folder written by save_pretrained"


def stage_fault(folder: Path) -> tuple[str, str]:
    """(what is wrong, what to do) with `folder`, which should be a stage's output with model/ in it and holds none."""
    if _is_model(folder) and folder.name == "model":
        return f"{folder} is the model itself; this input is the folder above it", f"use {folder.parent}"
    if (folder / ADAPTER).is_file() and _is_model(folder.parent / "model"):
        return f"{folder} holds a LoRA adapter alone, which is not a model", f"use {folder.parent}: its model/ is the merged model"
    return f"not a model folder: {folder / 'model'} has no {CONFIG}", "name the output folder of a stage that makes a model"


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG).is_file()
