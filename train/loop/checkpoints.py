"""Finds the checkpoint to resume from: the newest complete one.

A checkpoint is complete if it has a mark. The mark is a file, written last, that lists every other file with its size.
A kill or a full disk can leave an incomplete checkpoint; it is reported in the log and removed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.fileio import read_json, sync_folder, write_json
from gra.private_api import transformers, trl

if TYPE_CHECKING:
    from transformers import TrainerCallback

log = logging.getLogger(__name__)
MARK = "whole.json"
PREFIX = "checkpoint-"


def mark(folder: Path, **facts: Any) -> None:
    """Mark the checkpoint `folder` as complete, by writing the file whole.json into it. The checkpoint's files are
    synced to disk first. The file whole.json contains their names, their sizes and the values in `facts`."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARK)
    for path in files:
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
    sync_folder(folder)
    write_json(folder / MARK, {**facts, "files": {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}})


def facts(folder: Path) -> dict[str, Any] | None:
    """Return the content of a complete checkpoint's mark; None if the checkpoint is incomplete."""
    try:
        found = read_json(folder / MARK)
        whole = all((folder / name).stat().st_size == size for name, size in found["files"].items())
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return found if whole else None


def newest(folder: Path, remove_torn: bool = True) -> Path | None:
    """Return the newest complete checkpoint in `folder`; None if there is none.

    Incomplete checkpoints are reported in the log. If `remove_torn` is true, they are also removed, because the trainer
    would count them when it decides which old checkpoints to delete. Only one of several processes may remove them.
    """
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        step = path.name.removeprefix(PREFIX)
        if not (path.is_dir() and step.isdigit()):
            continue
        if facts(path) is not None:
            found.append((int(step), path))
        else:
            log.warning("checkpoint %s is incomplete (the run ended while it was written): skipped", path)
            if remove_torn:
                shutil.rmtree(path)
    return max(found)[1] if found else None


def counts(trainer: Any) -> dict[str, Any]:
    """Return the counts that TRL's trainer does not save in a checkpoint. These are the number of tokens seen, and the
    sums of loss and metrics since the last row of the log.

    A run can stop between two rows of the log, and the next row is computed from these sums. All processes have to call
    this function. Its result is stored in the checkpoint's file whole.json, where the function `resume` reads it.
    """
    since, loss = transformers.unlogged_loss(trainer)
    metrics = trl.unlogged_metrics(trainer)
    return {
        "tokens": trl.tokens_seen(trainer),
        "unlogged": {
            "since": since,
            "loss": float(trainer.accelerator.gather(loss.detach()).mean()).hex(),  # as text: JSON has no NaN
            "metrics": {name: [float(value).hex() for value in values] for name, values in metrics.items()},
        },
    }


def resume(trainer: Any, checkpoint: Path) -> None:
    """Make `trainer.train(resume_from_checkpoint=checkpoint)` also restore the counts that the function `counts`
    returned when the checkpoint was written. They are read from the checkpoint's file whole.json."""
    found = facts(checkpoint) or {}
    log.info("resuming from %s", checkpoint.name)
    trl.set_tokens_seen(trainer, found.get("tokens", 0))
    if "unlogged" in found:
        trainer.add_callback(_restore(trainer, found["unlogged"]))


def _restore(trainer: Any, unlogged: dict[str, Any]) -> TrainerCallback:
    import torch
    from transformers import TrainerCallback

    class Restore(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            loss = torch.tensor(float.fromhex(unlogged["loss"]), device=args.device)
            transformers.set_unlogged_loss(trainer, unlogged["since"], loss)
            summed = {name: [float.fromhex(value) for value in values] for name, values in unlogged["metrics"].items()}
            trl.unlogged_metrics(trainer).update(summed)

    return Restore()
