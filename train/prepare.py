"""The stage `tokens`: tokenises the data of stage 2 as a separate step on a CPU, before GPUs are requested.

Command: `gra prepare data=DIR student.model=MODEL sft=paper output=TOKENS`, then `gra train ... tokens=TOKENS` with the
same data, student and recipe. In an experiment, the step has the same config and the same inputs as the training step:

    tokens: {_target_: gra.train.prepare.run, config: {...}, inputs: {data: data, student: student}}
    model:  {_target_: gra.train.stage.run, config: {...}, inputs: {data: data, student: student, tokens: tokens}}

The fingerprint of the stage leaves out keys that do not change the tokens, so trainings that differ only in the
learning rate share one folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.fileio import read_json, write_text
from gra.labels import MARK
from gra.settings import parse
from gra.train import stage
from gra.train.data import tokenised
from gra.train.settings import SftSettings, StudentSettings, TrainSettings
from gra.train.stage import external_files as external_files

NAME = "tokens"
VERSION = 1
STUDENT = ("model", "revision", "trust_remote_code")  # the keys of `student` that decide the tokenizer
ADDED_LATER = {"sft.bos": "model"}
NOT_HASHED = (
    *(f"sft.{key}" for key in SftSettings.model_fields if key not in (*tokenised.RECIPE, "bos")),
    *(f"student.{key}" for key in StudentSettings.model_fields if key not in STUDENT),
)


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Tokenise the data, write `output/tokens` (see train/data/tokenised.py), and return counts of samples, rows and
    tokens.

    `rows` is the number of rows of the data. `samples` is the number of rows that became samples to train on,
    `held_out` of rows set aside for the validation loss, and `dropped` of rows that cannot be used. `truncated` is the
    number of samples that were too long and were cut. `rows_fed` is the number of rows that the trainer gets: with
    packing, the packed rows, otherwise one row per sample. `tokens` is the number of tokens of all samples, and
    `trained_tokens` the number of those that are trained on.

    Raises ConfigError for faults that `check` finds. Raises TrainError if data or tokenizer cannot be used.
    """
    from gra.train.report import card

    if problems := check(config, dict(inputs)):
        raise ConfigError(problems)
    settings = TrainSettings.model_validate(config)
    made = tokenised.ensure(settings, {name: folder for name, folder in inputs.items() if name != "tokens"}, output)
    if (label := card.simulated(settings, inputs)) is not None:
        write_text(output / MARK, label + "\n")
    account = read_json(made / tokenised.ACCOUNT)
    counts = {
        key: float(account[key]) for key in ("samples", "rows", "rows_fed", "tokens", "trained_tokens", "truncated")
    }
    held_out = account["held_out"]["samples"] if account["held_out"] else 0
    return {**counts, "dropped": float(sum(account["dropped"].values())), "held_out": float(held_out)}


def kept(folder: Path) -> str:  # noqa: ARG001 - of any working folder
    """Return "": an unfinished folder of this stage holds no work worth keeping."""
    return ""


def check(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return all faults that can be found before any work.

    Settings that only training needs (GPUs, batches, kernels) are not checked here. The check of the stage `train`
    reports their faults.
    """
    unreadable = {problem.key for problem in parse(TrainSettings, config)[1]}
    decisive = {f"sft.{key}" for key in tokenised.RECIPE} | {f"student.{key}" for key in STUDENT} | unreadable
    found = stage.check(config, inputs)
    return [problem for problem in found if problem.key.startswith(("inputs.", "sft.mix")) or problem.key in decisive]
