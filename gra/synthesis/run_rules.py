"""Builds the object `Rules` from the run's config and its probe. It holds what all proposals of a run share."""

from __future__ import annotations

import logging
from pathlib import Path

from gra.synthesis.committee.calls import Rules
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.scoring.scales import scales_for
from gra.synthesis.settings import SynthesisSettings
from gra.synthesis.task_filter.classifier import TaskFilter, sentence
from gra.synthesis.task_filter.label_files import read_labels

log = logging.getLogger("gra.synthesis")


def rules_of(config: SynthesisConfig, probe: Path | None) -> Rules:
    """Return the rules that all proposals of the run share. `probe`: the folder of the run's probe, which has the
    calibration maps, or None if there is no probe. Raises ConfigError or StoreError if the maps are needed and cannot
    be used (`scales_for`), or if the labels of tasks cannot be used (`read_labels`)."""
    pool = config.pool
    maps = scales_for(config.synthesis, pool.names, probe)
    tasks = task_filter(config.synthesis)
    return Rules(config.seed, config.synthesis, pool.served, thoughts=pool.strip_think, scales=maps, tasks=tasks)


def task_filter(settings: SynthesisSettings) -> TaskFilter | None:
    """Return the classifier that rejects instructions. It is trained on the files that the setting
    `synthesis.task_labels` names. Return None if this setting is not set. Raises ConfigError if the files cannot be
    used (`read_labels`)."""
    if settings.task_labels is None:
        return None
    found = TaskFilter(read_labels(settings.task_labels), settings.task_threshold)
    log.info("%s", sentence(found.account))
    for reason, count in found.account["skipped"].items():
        log.warning("synthesis.task_labels: %d skipped: %s", count, reason)
    return found
