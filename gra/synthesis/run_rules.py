"""Builds the object `Rules` from the run's config and its probe. It holds what all proposals of a run share."""

from __future__ import annotations

from pathlib import Path

from gra.synthesis.committee.calls import Rules
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.scoring.scales import scales_for


def rules_of(config: SynthesisConfig, probe: Path | None) -> Rules:
    """Return the rules that all proposals of the run share. `probe`: the folder of the run's probe, which has the
    calibration maps, or None if there is no probe. Raises ConfigError or StoreError if the maps are needed and cannot
    be used (`scales_for`)."""
    pool = config.pool
    maps = scales_for(config.synthesis, pool.names, probe)
    return Rules(config.seed, config.synthesis, pool.served, thoughts=pool.strip_think, scales=maps)
