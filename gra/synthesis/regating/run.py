"""Opens all that is needed to decide a finished synthesis again (its config, seeds, benchmarks, journal and embedder),
and decides one arm after another."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gra import event_loop, labels
from gra.embedding.embed import Embedder
from gra.errors import ConfigError, Interrupted, StoreError
from gra.synthesis.committee.calls import Rules
from gra.synthesis.decontamination import filter
from gra.synthesis.dedup.pool import TargetPool
from gra.synthesis.engine import spool
from gra.synthesis.engine.reuse import JOURNAL
from gra.synthesis.output.folder import Material
from gra.synthesis.probe import after_run
from gra.synthesis.regating.arm import Arm, Undecided
from gra.synthesis.regating.recorded import recorded, recorded_inputs, recorded_synthesis
from gra.synthesis.regating.recorded_filter import recorded_filter
from gra.synthesis.regating.recording import InThread, Recorder, Recording, Replies, Silent, same_rows
from gra.synthesis.regating.regate import settings_of
from gra.synthesis.rounds import Synthesis
from gra.synthesis.run_rules import rules_with
from gra.synthesis.seeds.load import load_seeds

log = logging.getLogger("gra.synthesis")


@dataclass
class Decided:
    """What the gate (the rule that accepts or rejects proposals) decides with one combination of settings. `material`:
    the config and rules with these settings. `result`: the kept and rejected samples, which are stored in files. Call
    `result.remove()` when the samples are no longer needed. `undecided`: what cannot be decided, because the decision
    needs a call that was not recorded."""

    material: Material
    result: Synthesis
    stats: dict[str, Any]
    undecided: Undecided


class RecordedRun:
    """A finished run whose proposals can be decided again. It is a context manager, and its method `arm` decides one
    arm (a set of changed settings). `folder`: the data folder of the run. `work`: a folder for temporary files, which
    is removed at the end.

    Raises ConfigError if no synthesis made the folder, and StoreError if its journal does not reproduce its data.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Path], runtime: Mapping[str, Any], work: Path):
        self.folder, self._synthesis = folder, recorded_synthesis(folder)
        self._config = recorded(folder, runtime)
        self._inputs = recorded_inputs(folder, inputs)
        self._work, self._workers = work, self._config.runtime.embed_workers
        self._stack, self._count = ExitStack(), 0
        self.simulated = labels.simulated([folder])
        self.recording = Recording()

    def __enter__(self) -> Self:
        config, settings = self._config, self._config.synthesis
        shutil.rmtree(self._work, ignore_errors=True)  # left by a killed run
        self._stack.callback(spool.clear, self._work)
        seeds = load_seeds(config.seeds, config.seed, self._inputs.get("seeds"))
        rules = rules_with(config, self._inputs.get("probe"), recorded_filter(self.folder, settings))
        try:
            against = filter.build(settings.decontaminate, self._inputs.get("benchmarks"))
            self._stack.callback(against.close)
            self._replies = Replies(self.folder / JOURNAL)
            self._stack.callback(self._replies.close)
            self._embedder = Embedder(settings.dedup.model, self._workers)
            self._stack.callback(self._embedder.close_sync)
            self.base = Material(config, rules, seeds, against)
            self._models = config.models_called
            self._probe = after_run.read_probe(self._inputs.get("probe"))
            self._replay()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def arm(self, changes: Mapping[str, Any]) -> Decided:
        """Decide all proposals of the run with the changed settings `changes`. Raises ConfigError if a setting cannot
        be changed after the run."""
        settings, problems = settings_of(self._synthesis, changes)
        if settings is None:
            raise ConfigError(problems)
        rules = replace(self.base.rules, settings=settings)
        material = replace(self.base, rules=rules)
        self._count += 1
        parts = self._parts(rules, self._work / f"arm-{self._count}")
        committee = Arm(*parts, recording=self.recording, had_reviewers=self.base.rules.settings.reviewers)
        result = _run(committee.run(self.base.seeds.seeds))
        stats = material.statistics(result, self.simulated, self._probe)
        if not committee.undecided.exact:
            stats["regated"] = committee.undecided.account()
        return Decided(material, result, stats, committee.undecided)

    def _replay(self) -> None:
        log.info("replaying %s from its journal", self.folder)
        recorder = Recorder(*self._parts(self.base.rules, self._work / "recorded"), recording=self.recording)
        _run(recorder.record(self.base.seeds.seeds))
        result = self.recording.result
        assert result is not None
        if not same_rows(self.folder, result):
            raise StoreError(
                f"{self.folder}: replaying its journal does not reproduce its data/train.parquet and rejected.parquet: "
                "another version, embedder or benchmark file was used\n    -> run the synthesis again into a new folder, with "
                "runtime.reuse set to this one, then re-gate the new folder"
            )
        result.remove()

    def _parts(self, rules: Rules, folder: Path) -> tuple[Any, ...]:
        pool = InThread(TargetPool(rules.settings.dedup, self._workers, self._embedder))
        return self._replies, pool, rules, self._models, Silent(), folder, self.base.against


def _run(main: Any) -> Any:
    try:
        return event_loop.run(main)
    except asyncio.CancelledError:
        raise Interrupted("stopped; run the same command again") from None
