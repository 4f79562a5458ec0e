"""Writes the warnings below a comparison. A warning names a cause of differences other than the models: replies that
were read by different rules, different prompts, or truncated replies."""

from __future__ import annotations

from collections.abc import Sequence

from gra.compare.reading.scores import Scores

NOTICED = 0.02  # share of truncated replies of a benchmark above which they are reported


def cautions(runs: Sequence[Scores]) -> list[str]:
    """Return the warnings below a comparison, one sentence each. `runs`: the scores of all runs, in the order of the
    table."""
    return [*_verified(runs), *_prompts(runs), *_cut(runs)]


def _verified(runs: Sequence[Scores]) -> list[str]:
    """Return sentences on the benchmarks that a verifier judged in at least one run. A sentence names either benchmarks
    that the same verifier judged in all runs, or benchmarks whose runs were judged in different ways."""
    mixed: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    for task in dict.fromkeys(name for run in runs for name in run.items):
        read = [score.verifier or score.reading for run in runs if (score := run.tasks.get(task)) and task in run.items]
        verifiers = {score.verifier for run in runs if (score := run.tasks.get(task)) and task in run.items}
        if verifiers == {None}:
            continue
        names = " / ".join(dict.fromkeys(read))
        (alike if len(verifiers) == 1 else mixed).setdefault(names, []).append(task)
    lines = [
        f"{', '.join(tasks)}: read differently, {names} (a name is a verifier model's). These differences compare readings, "
        "not models: re-read all runs by the same verifier, or none."
        for names, tasks in mixed.items()
    ]
    lines += [
        f"{', '.join(tasks)}: what stands as strict is verified, the verdicts of the verifier model {names}."
        for names, tasks in alike.items()
    ]
    without = sum(score.fell_back for run in runs for score in run.tasks.values())
    return [*lines, *([f"{without:,} items without a verdict keep their tolerant one."] if without else [])]


def _prompts(runs: Sequence[Scores]) -> list[str]:
    """Benchmarks whose items had different prompts, by the prompt hashes in samples.parquet."""
    differ: dict[str, tuple[int, int]] = {}
    for task in dict.fromkeys(name for run in runs for name in run.items):
        found = [
            dict(zip(i.doc_ids, i.prompts, strict=True)) for run in runs if (i := run.items.get(task)) and i.prompts
        ]
        shared = set.intersection(*map(set, found)) if found else set()
        unlike = sum(len({one[doc] for one in found}) > 1 for doc in shared)
        if unlike:
            differ[task] = unlike, len(shared)
    if not differ:
        return []
    counts = "; ".join(f"{task}: {unlike:,} of {of:,}" for task, (unlike, of) in differ.items())
    templates = {
        str(score.how["template"]) for run in runs for score in run.tasks.values() if score.how.get("template")
    }
    why = (
        "This is expected, since the models' chat templates differ; it may also hide different worked examples or another system "
        "message."
        if len(templates) > 1
        else "Worked examples, the system message or the task's wording differ: the difference is not due to the models alone."
    )
    return [f"Prompts differ ({counts} items). {why}"]


def _cut(runs: Sequence[Scores]) -> list[str]:
    lines = []
    for task in dict.fromkeys(name for run in runs for name in run.tasks):
        shares = [run.tasks[task].at_limit if task in run.tasks else None for run in runs]
        if any(share is not None and share > NOTICED for share in shares):
            listed = " / ".join("-" if share is None else f"{100 * share:.1f} %" for share in shares)
            lines.append(f"{task}: replies truncated at the token limit, so their answers may be missing: {listed}.")
    return lines
