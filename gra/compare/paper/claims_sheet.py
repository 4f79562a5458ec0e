"""Shows the judged claims as sheets: one line for each claim, and one for each part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gra.compare.paper.claims import COUNTS, FAILS, HOLDS, NOT_RUN, OPEN, Judged, deltas, verdicts
from gra.compare.paper.evidence import Fact
from gra.compare.statistics.bootstrap import Range
from gra.compare.tables.numbers import MISSING
from gra.compare.tables.sheet import Sheet

WORDS = {
    "beats": "is above 0",
    "level": "is within ±2",
    "little": "is below 2",
    "about": "is within ±2 of {number:g}",
    "reproduced": "is within ±2 of the paper's",
    "wins": "at least {number:g} of {count} benchmarks above 0",
    "sizes": "each within 5 % of {number:,.0f}",
    "share": "is above {number:g} %",
    "seen": "at least one",
    "none": "-",
}
RULE = (
    "Differences are points of the average over ten benchmarks, unless the part names others. By the numbers: "
    "the rule without intervals. The verdict uses the interval: holds if all of it satisfies the rule, fails "
    "if none of it does, else open; not run: a row is missing. A claim fails if any part that decides fails; "
    "else it is not run, open, or holds. Parts in brackets do not decide."
)
Found = Sequence[Range | Fact | None]


def sheets(judged: Sequence[Judged], title: str, source: str) -> list[Sheet]:
    """Return two sheets (tables of text). The first has a line for each claim, the second a line for each part of a
    claim. `source`: a note that says whose numbers are judged and how their intervals were computed."""
    found, alone = verdicts(judged), verdicts(judged, numbers=True)
    short = Sheet(
        title,
        ("Claim", "By the numbers", "Verdict", "Says"),
        [[claim, alone[claim], verdict, _says(claim, judged)] for claim, verdict in found.items()],
        (_tally(found), RULE, source),
        words=4,
    )
    lines = [_line(one) for one in judged]
    headings = (
        "Claim",
        "Part",
        "Rule",
        "Paper states",
        "Paper's tables",
        "Judged",
        "Delta",
        "By the numbers",
        "Verdict",
    )
    long = Sheet(
        "Parts",
        headings,
        lines,
        _misprints([one.misprints for one in judged]),
        [record(one) for one in judged],
        words=4,
    )
    return [short, long]


def brief(whole: Sequence[Sheet]) -> list[Sheet]:
    """Return the two sheets (tables) for the terminal. The sheet that lists the parts of claims keeps only the most
    important columns, because a terminal has no room for all of them. `whole`: the result of `sheets`."""
    short, long = whole
    return [short, long.pick(("Claim", "Verdict", "Paper's tables", "Judged", "Part"), words=5)]


def run_only(whole: Sequence[Sheet], listed: str) -> list[Sheet]:
    """Return the sheets (tables) for the terminal, without the claims and parts that have the verdict "not run", e.g.
    because the runs lack a benchmark. If no part is left, only the sheet that lists the claims is returned.

    A note says how many claims were left out. `whole`: the result of `sheets`. `listed`: a sentence that says where the
    user finds the claims that were left out.
    """
    short, long = (_without_not_run(sheet) for sheet in brief(whole))
    left = len(whole[0].lines) - len(short.lines)
    lines = [f"{left} claims not run: they need rows or benchmarks that these runs lack. {listed}"] if left else []
    short = replace(short, notes=[*lines, *short.notes[1:]] if lines else short.notes)
    return [short, long] if long.lines else [short]


def _without_not_run(sheet: Sheet) -> Sheet:
    place = sheet.headings.index("Verdict")
    keep = [number for number, line in enumerate(sheet.lines) if line[place] != NOT_RUN]
    records = [sheet.records[number] for number in keep] if sheet.records else []
    notes = _misprints([str(one["misprints"]).split(";") for one in records if one["misprints"]])
    lines = [sheet.lines[number] for number in keep]
    return replace(sheet, lines=lines, records=records, notes=notes if sheet.records else sheet.notes)


def record(one: Judged) -> dict[str, object]:
    """Return a part as values for CSV: scores from 0 to 1, and lists as texts separated by `;`."""
    part = one.part
    change = deltas(one.ours, one.paper) if _complete(one) and part.rule not in (*COUNTS, "wins") else []
    return {
        "claim": part.claim,
        "says": part.says,
        "decides": part.decides,
        "rule": part.rule,
        "number": part.number,
        "stated": part.stated or None,
        "printed": _joined([value.value if value else None for value in one.printed]),
        "paper": _joined([value.value if value else None for value in one.paper]),
        "value": _joined([value.value if value else None for value in one.ours]),
        "low": _joined([value.low if isinstance(value, Range) else None for value in one.ours]),
        "high": _joined([value.high if isinstance(value, Range) else None for value in one.ours]),
        "delta": _joined([value.value for value in change]),
        "delta.low": _joined([value.low for value in change]),
        "delta.high": _joined([value.high for value in change]),
        "by_numbers": one.by_numbers,
        "verdict": one.verdict,
        "misprints": ";".join(one.misprints) or None,
        "needs": part.needs or None,
    }


def _line(one: Judged) -> list[str]:
    part = one.part
    says = part.says if part.decides else f"({part.says})"
    rule = (
        WORDS[part.rule].format(number=part.number or 0, count=len(one.ours))
        if part.rule != "none"
        else f"needs {part.needs}"
    )
    mark = " (misprint)" if one.misprints else ""
    if part.rule == "wins":
        values = [_wins(one.paper), _wins(one.ours, intervals=True), _change(one)]
    else:
        values = [_shown(one.paper, part.rule), _shown(one.ours, part.rule, intervals=True), _change(one)]
    return [part.claim, says, rule, (part.stated or MISSING) + mark, *values, one.by_numbers, one.verdict]


def _shown(values: Found, rule: str, intervals: bool = False) -> str:
    """Return the values in points or as counts. Points have a sign, except scores (rule `reproduced`)."""
    if not values:
        return MISSING
    sign = "" if rule == "reproduced" else "+"
    cells = []
    for value in values:
        if value is None:
            cells.append(MISSING)
        elif isinstance(value, Fact):
            cells.append(f"{100 * value.value:.1f} %" if rule == "share" else f"{value.value:,.0f}")
        elif intervals:
            cells.append(f"{100 * value.value:{sign}.2f} [{100 * value.low:{sign}.2f}, {100 * value.high:{sign}.2f}]")
        else:
            cells.append(f"{100 * value.value:{sign}.2f}")
    return "; ".join(cells)


def _wins(values: Found, intervals: bool = False) -> str:
    """Return how many benchmarks are above 0. With `intervals`, also how many are clearly above and clearly below 0."""
    known = [value for value in values if isinstance(value, Range)]
    if not known:
        return MISSING
    words = f"{sum(value.value > 0 for value in known)} of {len(known)}"
    if intervals:
        words += f", clearly {sum(value.low > 0 for value in known)}; clearly below: {sum(value.high < 0 for value in known)}"
    return words


def _change(one: Judged) -> str:
    if one.part.rule == "wins":
        both = [[v for v in side if isinstance(v, Range)] for side in (one.ours, one.paper)]
        return f"{sum(v.value > 0 for v in both[0]) - sum(v.value > 0 for v in both[1]):+d}" if all(both) else MISSING
    if one.part.rule in COUNTS or not _complete(one):
        return MISSING
    return "; ".join(
        f"{100 * d.value:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]" for d in deltas(one.ours, one.paper)
    )


def _complete(one: Judged) -> bool:
    return bool(one.ours) and None not in one.ours and None not in one.paper


def _joined(values: Sequence[float | None]) -> str | float | None:
    known = ["-" if value is None else repr(round(value, 12)) for value in values]
    return None if not known or set(known) == {"-"} else ";".join(known)


def _says(claim: str, judged: Sequence[Judged]) -> str:
    """Return the text of the claim's first deciding part, and the number of further ones."""
    parts = [one.part for one in judged if one.part.claim == claim and one.part.decides]
    return parts[0].says if len(parts) == 1 else f"{parts[0].says}; {len(parts) - 1} more"


def _tally(found: dict[str, str]) -> str:
    counts = {verdict: sum(own == verdict for own in found.values()) for verdict in (HOLDS, FAILS, OPEN, NOT_RUN)}
    return f"{len(found)} claims: " + ", ".join(f"{number} {verdict}" for verdict, number in counts.items()) + "."


def _misprints(found: Iterable[Sequence[str]]) -> list[str]:
    """Return the note about rows with a misprint; [] if there are none. `found`: these rows, for each part."""
    rows = dict.fromkeys(name for names in found for name in names)
    if not rows:
        return []
    return [
        "Misprint: the average printed for a row is not the mean of its ten scores. Values are recomputed from "
        f"the scores; what the paper states stays as printed. Rows: {', '.join(rows)}."
    ]
