"""Builds the object `Rules` from the run's config and its probe. It holds what all proposals of a run share."""

from __future__ import annotations

import logging
from pathlib import Path

from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.decisions import InstructionFilter
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.scoring.scales import scales_for
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.task_filter.classifier import TaskFilter, sentence
from gra.synthesis.task_filter.label_files import read_labels

log = logging.getLogger("gra.synthesis")


def rules_of(config: SynthesisConfig, probe: Path | None) -> Rules:
    """Return the rules that all proposals of the run share. `probe`: the folder with the result of the run's probe (a
    test of the committee), which has the calibration maps, or None if there is no probe. Raises ConfigError or
    StoreError if the maps are needed and cannot be used (`scales_for`), or if the labels of tasks cannot be used
    (`read_labels`)."""
    return rules_with(config, probe, task_filter(config.synthesis))


def rules_with(config: SynthesisConfig, probe: Path | None, tasks: InstructionFilter | None) -> Rules:
    """Return the rules of the run, as `rules_of` does, with `tasks` as the filter of instructions."""
    pool = config.pool
    maps = scales_for(config.synthesis, pool.names, probe)
    return Rules(config.seed, config.synthesis, pool.served, thoughts=pool.strip_think, scales=maps, tasks=tasks)


def task_filter(settings: SynthesisSettings) -> TaskFilter | None:
    """Return the classifier that rejects instructions, learned from the files `synthesis.task_labels`. None if there
    are no such files. Raises ConfigError if the files cannot be used (`read_labels`)."""
    if settings.task_labels is None:
        return None
    labelled = read_labels(settings.task_labels)
    for reason, count in labelled.skipped.items():
        log.warning("synthesis.task_labels: %d skipped: %s", count, reason)
    return TaskFilter(labelled, settings.task_threshold)


def describe_filter(tasks: InstructionFilter | None) -> None:
    """Log what the classifier of instructions learned and how good it is. The cross-validation that measures this takes
    as long as training eight more classifiers, so do not call this function in every shard."""
    if tasks is not None:
        log.info("%s", sentence(tasks.account))
