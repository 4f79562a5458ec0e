"""Makes the sheet of readings: the arms' mean scores by several sets of rules that score the same replies."""

from __future__ import annotations

from collections.abc import Mapping

from gra.compare.options import Options
from gra.compare.reading.evaluated import Evaluated
from gra.compare.statistics.bootstrap import Interval
from gra.compare.statistics.contrasts import contrast
from gra.compare.tables.numbers import REFERENCE, interval, percent
from gra.compare.tables.sheet import Sheet
from gra.errors import EvalError

READINGS = {
    "strict": "strict",
    "opencompass": "OpenCompass",
    "tolerant": "tolerant",
}  # and "verified", where an arm has it


def readings(evaluated: Evaluated, reference: str, options: Options, labels: Mapping[str, str]) -> Sheet:
    """Return a table of each arm's mean scores under several sets of rules for scoring the same replies. Such a set is
    called a reading.

    The table has a row for each arm and two columns for each reading. The first column shows the arm's mean score. The
    second column shows the difference: the mean score of the reference minus that of the row's arm. `reference`: the
    name of the reference arm.
    """
    lines, records = [], []
    verified = any(scored["verified"] for scored in evaluated.scored.values())
    shown = READINGS | ({"verified": "verified"} if verified else {})
    for name, label in labels.items():
        cells: list[str] = []
        record: dict[str, object] = {"arm": name, "label": label, "simulated": evaluated.simulated(name)}
        for kind in shown:
            value = _mean(evaluated, name, kind)
            found = _difference(evaluated, reference, name, kind, options)
            cells += [percent(value), REFERENCE if name == reference else interval(found)]
            record |= {kind: value, f"{kind}.difference": found.value if found else None}
            record |= {f"{kind}.low": found.low if found else None, f"{kind}.high": found.high if found else None}
        lines.append([label, *cells])
        records.append(record)
    heads = [words for kind in shown.values() for words in (f"Mean, {kind}", f"Reference minus arm, {kind}")]
    note = (
        f"Means over the benchmarks in percent, by {'four' if verified else 'three'} readings of the same replies: strict, "
        "the form that the task asks for; OpenCompass's rules, by which the paper's numbers were read; tolerant, any clear "
        f"form{'; verified, the verdicts of a verifier model' if verified else ''}. A dash: not read so."
    )
    return Sheet("Readings of the same replies", ("Arm", *heads), lines, [note], records)


def _mean(evaluated: Evaluated, name: str, kind: str) -> float | None:
    """Return the arm's mean over all benchmarks by the reading `kind`; None if the arm lacks a benchmark."""
    scored = evaluated.scored[name][kind]
    if not evaluated.tasks or set(scored) != set(evaluated.tasks):
        return None
    return sum(float(one.correct.mean()) for one in scored.values()) / len(scored)


def _difference(evaluated: Evaluated, reference: str, name: str, kind: str, options: Options) -> Interval | None:
    """Return the reference minus the arm, by the reading `kind`; None for the reference itself, or if one of the two
    lacks a benchmark."""
    sides = {one: evaluated.scored[one][kind] for one in (reference, name)}
    if name == reference or any(set(side) != set(evaluated.tasks) or not side for side in sides.values()):
        return None
    try:
        return contrast(sides, {reference: 1.0, name: -1.0}, **options.bootstrap).mean
    except EvalError as error:
        raise EvalError(f"Arms {reference} and {name} cannot be compared: {error}") from error
