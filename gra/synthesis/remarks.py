"""PURE: what of a run's replies a person should hear: models that give little of use, and what was cut off or odd in replies.

The same sentences stand in the data card, on the terminal at the end and in the account of a run that kept nothing; while the
run is under way, each is said once a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra.synthesis.reading import kind_of
from gra.synthesis.records import CallRecord

ENOUGH = 8  # calls of a model after which its share of unusable replies says something
MUCH = 0.5  # a model of whose replies more than this is unusable is named
HINTS = {
    "reasoning cut off": "its reasoning was cut off replies (pool.strip_think)",
    "control_tokens cut off": "replies ran past the end of a turn and were cut there: check the chat template and stop tokens",
    "backslashes restored": "backslashes that JSON swallows were restored in its replies",
}


def troubles(replies: Mapping[str, Any], refused: Mapping[str, Any]) -> list[str]:
    """One sentence a model that is of little use, worst first. `replies`, `refused`: those of stats.json."""
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
            most = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items(), key=lambda f: (-f[1], f[0]))[:3])
            words = f"; the first refusal: {refused[model]['words']}" if model in refused else ""
            found.append((unusable / calls, f"{model}: {unusable} of {calls} replies of no use ({most}){words}"))
    return [text for _, text in sorted(found, key=lambda f: (-f[0], f[1]))]


class Remarks:
    """Hears of calls as they are accounted for and says each thing once a model."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()
        self._calls: dict[str, int] = {}
        self._of_use: set[str] = set()

    def see(self, calls: Iterable[CallRecord]) -> list[str]:
        """What these calls give reason to say."""
        texts = []
        for call in calls:
            model = call.model
            self._calls[model] = self._calls.get(model, 0) + 1
            if call.usable:
                self._of_use.add(model)
            elif self._calls[model] == ENOUGH and model not in self._of_use:
                texts.append(f"model {model}: none of its first {ENOUGH} replies is of use; the last: {(call.fault or '')[:200]}")
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
        return f"unknown finish reason `{name}: its replies are taken as whole"
    if head == "joined":
        return f"gives `{name} beside an instruction: it is joined to it"
    if head == "field":
        return f"gives a field that nobody asked for, `{name}: it is left out"
    return HINTS.get(note, note)
