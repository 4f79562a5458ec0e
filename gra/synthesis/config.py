"""Parses the config of a synthesis, a shard or a probe, once, when the stage starts. The modules that do the work get
the parsed object or parts of it.

Only this module and the functions that start the stages read the unparsed config; tests/test_parsed_once.py checks
this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field

from gra.models import served as servers
from gra.models.parsed_pool import ParsedPool, parsed_pool
from gra.server_jobs import Served
from gra.settings import Settings
from gra.synthesis.committee.roles import checkers
from gra.synthesis.seeds.settings import SeedSettings
from gra.synthesis.settings import SynthesisSettings
from gra.tracking import TrackingSettings


class SynthesisRuntime(Settings):
    """Keys of `runtime` that the synthesis itself reads."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    concurrency: int = Field(64, ge=1, description="Limit on calls in flight across all models.")
    embed_workers: int | None = Field(
        None, ge=1, description="Number of processes that compute embeddings for dedup; null: one per core."
    )
    reuse: list[str] = Field(
        default_factory=list,
        description="Folders of earlier runs, searched recursively; calls recorded in their journals are not sent again.",
    )
    earlier: list[str] = Field(
        default_factory=list,
        description="As `reuse`, but set internally by an experiment; journals that cannot be read are skipped.",
    )
    shards: str | None = Field(
        None,
        description="Folder of this run's shards and merges; used with `shard=` and by `gra merge`; null: `OUTPUT.shards`, "
        "beside OUTPUT.",
    )
    shard_proposals: int | None = Field(
        None,
        ge=1,
        description="Number of proposals that all shards of a round make together; null: estimated from the previous round.",
    )
    tracking: TrackingSettings = Field(
        TrackingSettings(mode="none"), description="Weights & Biases: the keys of the group `tracking`."
    )


class ShardSettings(Settings):
    """Which shard of which round a job computes."""

    round: int = Field(ge=0, description="Number of the round, from 1; 0: the annotation of the seeds.")
    index: int = Field(ge=0, description="Number of the shard, from 0.")
    count: int = Field(ge=1, description="Number of shards of each round.")
    gathers: bool = Field(
        False, description="true: import the journals of the other shards and make the calls that they lack."
    )


@dataclass(frozen=True)
class SynthesisConfig:
    """The parsed config of a run. `seed`: the seed of all random draws. `shard`: which shard (part) of the run this job
    computes. It is None if the run is not a shard. The other fields are the groups of the config."""

    seed: int
    seeds: SeedSettings
    pool: ParsedPool
    synthesis: SynthesisSettings
    runtime: SynthesisRuntime
    shard: ShardSettings | None = None

    @property
    def models_called(self) -> tuple[str, ...]:
        """The models of the pool to which the run can send calls. With `synthesis.roles=single`, these are only one
        model and the models of `synthesis.checkers`. The other models of the pool then need not be loaded or served."""
        names, wanted = self.pool.names, self.synthesis.single_model
        if self.synthesis.roles != "single":
            return names
        one = tuple(name for name in names if wanted in (None, name))[:1]
        return tuple(name for name in names if name in (*one, *checkers(self.synthesis))) if one else names


def parsed(config: Mapping[str, Any]) -> SynthesisConfig:
    """Return the parsed config. Call the stage's `check` first, because this function raises ValueError or ConfigError
    if the config is faulty."""
    return SynthesisConfig(
        seed=config["seed"],
        seeds=SeedSettings.model_validate(config["seeds"]),
        pool=parsed_pool(config["pool"], config["runtime"]),
        synthesis=SynthesisSettings.model_validate(config["synthesis"]),
        runtime=SynthesisRuntime.model_validate(config["runtime"]),
        shard=shard_of(config),
    )


def served(config: Mapping[str, Any]) -> Served | None:
    """Return the models that the run calls, and what other jobs need in order to serve these models. Return None if the
    pool starts no servers, or if it starts them one after the other. Call the stage's `check` first, because this
    function needs a config without faults."""

    def within(pool: dict[str, Any], runtime: dict[str, Any]) -> dict[str, Any]:
        return {**config, "pool": pool, "runtime": runtime}

    return servers.served(config["pool"], config["runtime"], parsed(config).models_called, within)


def shard_of(config: Mapping[str, Any]) -> ShardSettings | None:
    """Return which shard (part) of which round the config computes. None if the config is not that of a shard."""
    return ShardSettings.model_validate(config["shard"]) if config.get("shard") else None


def changed(config: Mapping[str, Any], section: str, **values: Any) -> dict[str, Any]:
    """Return a copy of the unparsed `config` in which keys of the group `section` have other values. `values`: key ->
    new value."""
    return {**config, section: {**config[section], **values}}
