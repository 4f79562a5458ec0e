"""Computes stats.json and writes the data folder from the result of a run of the stage `synthesis` or `refine`, or from
the result of the stage `regate`, which decides the recorded proposals of a run again with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.fileio import write_json
from gra.synthesis import prompts
from gra.synthesis.committee.calls import Rules
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.decontamination.filter import ContaminationFilter
from gra.synthesis.output import cost
from gra.synthesis.output.dataset import CardInfo, Writer
from gra.synthesis.output.stats import statistics
from gra.synthesis.probe import after_run
from gra.synthesis.rounds import Synthesis
from gra.synthesis.scoring import scales
from gra.synthesis.seeds.load import SeedSet
from gra.synthesis.settings import SynthesisSettings
from gra.worker_process import WorkerProcess

PRIVATE: Any = {
    "task_labels": True,
    "decontaminate": {"data_dir": True, "files": {"__all__": {"path"}}},
}  # settings that the data card does not show


@dataclass(frozen=True)
class Material:
    """What is needed, besides the result of a run, to compute its statistics and to write its data folder. `words`:
    fields of `CardInfo` (the content of the data card) whose usual values are replaced, with their new values. Only the
    stage `refine` sets them."""

    config: SynthesisConfig
    rules: Rules
    seeds: SeedSet
    against: ContaminationFilter
    words: Mapping[str, Any] = field(default_factory=dict)

    def statistics(self, result: Synthesis, simulated: bool, probe: dict[str, Any] | None) -> dict[str, Any]:
        """Return the content of stats.json. `probe`: the content of probe.json, or None if the run had no probe."""
        settings, pool = self.rules.settings, self.config.pool
        stats = statistics(
            result.kept, result.rejected, settings=settings, seed_calls=result.seeds.calls, simulated=simulated
        )
        stats["seeds"] = {
            **self.seeds.statistics(),
            "annotated": len(result.seeds.records),
            "annotation_missing": len(result.seeds.failed),
        }
        stats["short_rounds"] = result.short
        stats["thin_domains"] = result.thin
        stats["decontamination"] = self.against.statement
        if self.rules.tasks is not None:
            stats["task_filter"] = self.rules.tasks.account
        if probe is not None:
            stats["probe"] = after_run.estimate(probe, stats)
        if (calibration := scales.account(settings, pool.names, self.rules.scales)) is not None:
            stats["calibration"] = calibration
        stats["cost"] = cost.account(stats["tokens"], stats["kept"], pool.parameters)
        return stats

    def write(self, output: Path, result: Synthesis, stats: dict[str, Any]) -> None:
        """Write all files of the data folder except run.json and the journal. Raises StoreError if two samples have the
        same id, and OSError if a file cannot be written."""
        settings = self.rules.settings
        usual = {
            "settings": settings.model_dump(mode="json", exclude=PRIVATE),
            "prompts_hash": prompts.digest(settings.prompts),
            "method": method_in_words(settings),
        }
        card = CardInfo(
            seeds_name=self.seeds.name,
            seeds_account=self.seeds.account(),
            license=self.seeds.license,
            models=self.config.pool.names,
            seed=self.config.seed,
            simulated=stats["simulated"],
            decontamination=self.against.statement,
            **usual | dict(self.words),
        )
        write_json(output / "decontamination.json", self.against.report(result.rejected))
        with closing(WorkerProcess("data set writing", "about 200 MB", Writer)) as writer:
            writer.call("write", output, result.kept, result.rejected, stats, card).result()


def method_in_words(settings: SynthesisSettings) -> str:
    """Return the data card's sentences on how the samples were made."""
    if settings.checkers is not None:
        checked = f"the instruction is checked by {' and '.join(settings.checkers)}"
    else:
        checked = "the reviewers check the instruction" if settings.review else "the instruction is not checked"
    reviewed = "the reviewers score the response" if settings.review else "the response is not reviewed"
    roles = (
        "generator, reviewers and adjudicator" if settings.review and settings.adjudicate else "generator and reviewers"
    )
    adjudicated = "if they disagree, the adjudicator decides; " if settings.review and settings.adjudicate else ""
    drawn = (
        f"models of the pool are drawn as {roles}" if settings.review else "a model of the pool is drawn as generator"
    )
    return (
        f"For each sample, {drawn}. The generator writes keywords, an instruction and a response; {checked}, and {reviewed}; "
        f"{adjudicated}near-duplicates are dropped (GRA, arXiv 2504.12322)."
    )
