"""What stands under a comparison so that a difference is not taken for one between models: unlike prompts, replies cut off."""

from __future__ import annotations

from collections.abc import Sequence

from gra.compare.scores import Scores

NOTICED = 0.02  # share of a benchmark's replies that ended at their limit of tokens, above which it is said


def cautions(runs: Sequence[Scores]) -> list[str]:
    """Sentences, none where all is well. `runs`: in the order in which they are shown."""
    return [*_prompts(runs), *_cut(runs)]


def _prompts(runs: Sequence[Scores]) -> list[str]:
    """Items by one name that were asked in other words, as samples.parquet has the hash of each prompt."""
    differ: dict[str, tuple[int, int]] = {}
    for task in dict.fromkeys(name for run in runs for name in run.items):
        found = [dict(zip(i.doc_ids, i.prompts, strict=True)) for run in runs if (i := run.items.get(task)) and i.prompts]
        shared = set.intersection(*map(set, found)) if found else set()
        unlike = sum(len({one[doc] for one in found}) > 1 for doc in shared)
        if unlike:
            differ[task] = unlike, len(shared)
    if not differ:
        return []
    counts = "; ".join(f"{task}: {unlike:,} of {of:,}" for task, (unlike, of) in differ.items())
    templates = {str(score.how["template"]) for run in runs for score in run.tasks.values() if score.how.get("template")}
    why = (
        "The models' chat templates differ, so that much is to be expected; other worked examples or another system message would "
        "not show."
        if len(templates) > 1
        else "Worked examples, the system message or the task's own words differ: the difference is not the models' alone."
    )
    return [f"Prompts differ ({counts} items). {why}"]


def _cut(runs: Sequence[Scores]) -> list[str]:
    lines = []
    for task in dict.fromkeys(name for run in runs for name in run.tasks):
        shares = [run.tasks[task].at_limit if task in run.tasks else None for run in runs]
        if any(share is not None and share > NOTICED for share in shares):
            told = " / ".join("-" if share is None else f"{100 * share:.1f} %" for share in shares)
            lines.append(f"{task}: replies that ended at their limit of tokens, so that answers may be missing: {told}.")
    return lines
