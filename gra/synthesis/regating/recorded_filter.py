"""The classifier's verdicts on instructions, as a finished run recorded them. So re-gating needs neither the run's label files
nor the same CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.fileio import read_json
from gra.synthesis.settings import SynthesisSettings

REASON = "unlikely_task"  # a reason of gra/reasons.py


@dataclass(frozen=True)
class RecordedFilter:
    """Rejects the instructions that the classifier of the recorded run rejected. `faults`: for each of these
    instructions, why it was rejected. `account`: what the run recorded about its classifier (stats.json,
    `task_filter`)."""

    faults: Mapping[str, str]
    account: dict[str, Any] = field(default_factory=dict)

    def fault(self, instruction: str) -> str | None:
        """Return why the recorded run rejected the instruction, or None if it did not."""
        return self.faults.get(instruction)


def recorded_filter(folder: Path, settings: SynthesisSettings) -> RecordedFilter | None:
    """Return a filter with the verdicts of the run's classifier of instructions, read from the run's data folder.
    Return None if the run had no classifier. Raises StoreError if the verdicts cannot be read."""
    if settings.task_labels is None:
        return None
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(folder / "rejected.parquet", columns=["instruction", "reason", "detail"]).to_pylist()
        account = dict(read_json(folder / "stats.json")["task_filter"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "run the synthesis again into a new folder, with runtime.reuse set to this one"
        raise StoreError(
            f"{folder}: the verdicts of its classifier cannot be read ({error!r:.80})\n    -> {remedy}"
        ) from error
    return RecordedFilter({row["instruction"]: row["detail"] or "" for row in rows if row["reason"] == REASON}, account)
