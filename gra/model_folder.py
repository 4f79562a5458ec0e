"""Explains why a folder that the user named as a model cannot be loaded as one. Evaluation and training use it."""

from __future__ import annotations

from pathlib import Path

CONFIG, ADAPTER = "config.json", "adapter_config.json"


def fault(folder: Path) -> tuple[str, str] | None:
    """Return why transformers cannot load `folder` as a model, and what the user can do. Return None if the folder has
    a config.json."""
    if (folder / CONFIG).is_file():
        return None
    if (folder / ADAPTER).is_file():
        merged = folder.parent / "model"
        if _is_model(merged):
            return (
                f"{folder} holds only a LoRA adapter, not a model",
                f"use {merged}: the same adapter, merged into its base model",
            )
        remedy = (
            "merge it into its base model (peft: PeftModel.from_pretrained, then merge_and_unload), save it, "
            "and name that folder"
        )
        return f"{folder} holds only a LoRA adapter, not a model", remedy
    if _is_model(folder / "model"):
        return f"{folder} is a stage's output, not the model in it", f"use {folder / 'model'}"
    if not folder.is_dir():
        return f"not a model folder: {folder} is a file", "give a folder written by save_pretrained"
    return f"not a model folder: {folder} has no {CONFIG}", "give a folder written by save_pretrained"


def stage_fault(folder: Path) -> tuple[str, str]:
    """Return two texts: what is wrong with `folder`, and what the user can do. The config expects the output folder of
    a command that writes a model, such as a training. The model would be in the subfolder model/, but `folder` has no
    model there."""
    if _is_model(folder) and folder.name == "model":
        return f"{folder} is the model itself; this input expects its parent folder", f"use {folder.parent}"
    if (folder / ADAPTER).is_file() and _is_model(folder.parent / "model"):
        return (
            f"{folder} holds only a LoRA adapter, not a model",
            f"use {folder.parent}: its model/ is the merged model",
        )
    return (
        f"not a model folder: {folder / 'model'} has no {CONFIG}",
        "give the output folder of a stage that writes a model",
    )


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG).is_file()
