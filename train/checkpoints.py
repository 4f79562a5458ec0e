"""Which checkpoint to resume from: the newest whole one. A checkpoint is whole when its mark, written last, lists every
file in it with its size; anything else was torn by a kill or a full disk, is named in the log and removed."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.fileio import read_json, sync_folder, write_json

if TYPE_CHECKING:
    from transformers import TrainerCallback

log = logging.getLogger(__name__)
MARK = "whole.json"
PREFIX = "checkpoint-"


def mark(folder: Path, **facts: Any) -> None:
    """Make `folder`'s files durable, then write its mark, holding `facts` besides names and sizes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MARK)
    for path in files:
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
    sync_folder(folder)
    write_json(folder / MARK, {**facts, "files": {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}})


def facts(folder: Path) -> dict[str, Any] | None:
    """What the mark of a whole checkpoint says; None if the checkpoint is torn."""
    try:
        found = read_json(folder / MARK)
        whole = all((folder / name).stat().st_size == size for name, size in found["files"].items())
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    return found if whole else None


def newest(folder: Path, remove_torn: bool = True) -> Path | None:
    """The newest whole checkpoint in `folder`, or None. Torn ones are reported and, by one process, removed: the trainer
    counts them when it decides which old checkpoints to delete."""
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        step = path.name.removeprefix(PREFIX)
        if not (path.is_dir() and step.isdigit()):
            continue
        if facts(path) is not None:
            found.append((int(step), path))
        else:
            log.warning("checkpoint %s is torn (it was being written when the run ended): skipped", path)
            if remove_torn:
                shutil.rmtree(path)
    return max(found)[1] if found else None


def counts(trainer: Any) -> dict[str, Any]:
    """What TRL's trainer leaves out of a checkpoint: the tokens seen, and what it has summed up since the last row of the log
    (a run can be stopped between two rows). All processes call it; for the mark, which `go_on` reads."""
    return {
        "tokens": trainer._total_train_tokens,
        "unlogged": {
            "since": trainer._globalstep_last_logged,
            "loss": float(trainer.accelerator.gather(trainer._tr_loss.detach()).mean()).hex(),  # JSON knows no NaN
            "metrics": {name: [float(value).hex() for value in values] for name, values in trainer._metrics["train"].items()},
        },
    }


def go_on(trainer: Any, checkpoint: Path) -> None:
    """Have `trainer.train(resume_from_checkpoint=checkpoint)` take up the counts, too."""
    found = facts(checkpoint) or {}
    log.info("going on from %s", checkpoint.name)
    trainer._total_train_tokens = found.get("tokens", 0)
    if "unlogged" in found:
        trainer.add_callback(_restore(trainer, found["unlogged"]))


def _restore(trainer: Any, unlogged: dict[str, Any]) -> TrainerCallback:
    import torch
    from transformers import TrainerCallback

    class Restore(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            trainer._tr_loss = torch.tensor(float.fromhex(unlogged["loss"]), device=args.device)
            trainer._globalstep_last_logged = unlogged["since"]
            summed = {name: [float.fromhex(value) for value in values] for name, values in unlogged["metrics"].items()}
            trainer._metrics["train"].update(summed)

    return Restore()
