"""PURE: reports problems with replies as sentences: which models' replies are mostly unusable, and what was removed
from replies or unusual in them.

The sentences of `troubles` are in the data card, in the log at the end of a run, and in the error message of a run that
kept nothing. Those of `Remarks` are logged during the run, each once per model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra.synthesis.committee.records import CallRecord
from gra.synthesis.replies.reading import kind_of

ENOUGH = 8  # after this many calls of a model, all unusable, a run reports it
# A model with a larger share of unusable replies is reported. For replies refused by its server a fifth of this share is enough.
MUCH = 0.5
HINTS = {
    "reasoning cut off": "reasoning was cut off its replies (pool.strip_think)",
    "control_tokens cut off": "replies ran past the end of a turn and were cut there: check the chat template and stop tokens",
    "backslashes restored": "backslashes that JSON swallows were restored in its replies",
}


def troubles(replies: Mapping[str, Any], refused: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each model with more than half of its replies unusable, or whose server often refuses
    calls. The worst model comes first. `replies`, `refused`: the entries with these names in stats.json."""
    found = []
    for model, steps in replies.items():
        calls = sum(step["calls"] for step in steps.values())
        faults: dict[str, int] = {}
        for step in steps.values():
            for kind, count in step["unusable"].items():
                faults[kind] = faults.get(kind, 0) + count
        unusable = sum(faults.values())
        turned_away = faults.get("refused", 0)
        if calls and (unusable / calls > MUCH or turned_away / calls > MUCH / 5):
            most = ", ".join(
                f"{kind} {count}" for kind, count in sorted(faults.items(), key=lambda f: (-f[1], f[0]))[:3]
            )
            words = f"; the first refusal: {refused[model]['words']}" if model in refused else ""
            found.append((unusable / calls, f"{model}: {unusable} of {calls} replies are unusable ({most}){words}"))
    return [text for _, text in sorted(found, key=lambda f: (-f[0], f[1]))]


class Remarks:
    """Finds remarks on calls during the run. Each remark is returned once per model."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()
        self._calls: dict[str, int] = {}
        self._usable: set[str] = set()

    def see(self, calls: Iterable[CallRecord]) -> list[str]:
        """Return the remarks on these calls that were not returned before."""
        texts = []
        for call in calls:
            model = call.model
            self._calls[model] = self._calls.get(model, 0) + 1
            if call.usable:
                self._usable.add(model)
            elif self._calls[model] == ENOUGH and model not in self._usable:
                texts.append(
                    f"model {model}: none of its first {ENOUGH} replies is usable; the last: {(call.fault or '')[:200]}"
                )
            if not call.usable and call.fault and kind_of(call.fault) == "refused" and self._first(model, "refused"):
                texts.append(f"model {model}: its server refused a call: {call.fault.partition(': ')[2][:200]}")
            texts += [f"model {model}: {_meaning(note)}" for note in call.notes if self._first(model, note)]
        return texts

    def _first(self, model: str, what: str) -> bool:
        if (model, what) in self._said or sum(said[0] == model for said in self._said) >= 2 * ENOUGH:
            return False
        self._said.add((model, what))
        return True


def _meaning(note: str) -> str:
    head, _, name = note.partition(" `")
    if head == "finish":
        return f"unknown finish reason `{name}: its replies count as complete"
    if head == "joined":
        return f"gives `{name} next to an instruction: it is joined to the instruction"
    if head == "field":
        return f"gives an unexpected field, `{name}: it is ignored"
    return HINTS.get(note, note)
