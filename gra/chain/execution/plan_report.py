"""Reports for `gra plan` what each unfinished step has done already, what changed since its last run, and what it will
cost.

Each stage estimates its cost with its function `outlook`: gra/synthesis/output/price.py, train/cost_estimate.py,
eval/cost_estimate.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gra.chain.execution.plan import Plan, Planned
from gra.chain.execution.runner import identify
from gra.chain.store.earlier import experiment_of, identity_of, in_store, is_finished, of_name
from gra.chain.store.fingerprint import change_lines, changes
from gra.chain.store.working import worth_of
from gra.outlook import Cost, Outlook, Upstream


def of_unfinished(plan: Plan) -> list[str]:
    """Return lines about the unfinished steps. Each line states one fact and begins with the ids of the steps that it
    is about.

    A step with the same fingerprint as an earlier step has no line. If costs are known, the last line is their sum.
    """
    twins = plan.twins()
    seen: dict[str, Outlook] = {}
    steps_of: dict[str, list[str]] = {}  # line -> the steps that it describes
    for name, item in plan.steps.items():
        if item.folder is not None or item.digest is None:
            continue
        if twins[name] != name:
            seen[name] = replace(seen[twins[name]], lines=[], cost=Cost())
            continue
        upstream = {key: seen[of] for key, of in item.step.inputs.items() if isinstance(of, str) and of in seen}
        before, seen[name] = _of_step(plan, item, upstream)
        for line in [*before, *seen[name].lines]:
            steps_of.setdefault(line, []).append(name)
    return [f"{', '.join(names)}: {line}" for line, names in steps_of.items()] + total(seen)


def total(seen: Mapping[str, Outlook]) -> list[str]:
    """Return a list with one line, which tells the sum of the known costs and names the steps whose cost is unknown.

    If a step's cost is known only in part, the line names the step, too. If all known costs are 0, the list is empty.
    `seen`: step id -> the estimate of its stage.
    """
    known = [outlook.cost for outlook in seen.values() if outlook.cost is not None]
    if not any(cost != Cost() for cost in known):
        return []
    unknown = [name for name, outlook in seen.items() if outlook.cost is None]
    unsized = [name for name, outlook in seen.items() if outlook.cost is not None and outlook.cost.unsized]
    without = f"; not counted, since the cost is unknown: {', '.join(unknown)}" if unknown else ""
    if unsized:
        without += f"; without the FLOPs of {', '.join(unsized)}, whose pool states no parameters"
    return [f"in total: about {sum(known, Cost()).in_words()}{without}"]


def _of_step(plan: Plan, item: Planned, upstream: Upstream) -> tuple[list[str], Outlook]:
    """Return the lines about the step's earlier runs, and the step's outlook."""
    assert item.digest is not None
    stage, name = item.stage, item.step.id
    earlier = in_store(plan.store, stage, name, item.digest)
    lines = []
    own = plan.store.find_partial(stage.name, item.digest)
    if own is not None:
        worth = worth_of(stage, own)
        lines.append(f"not finished: {own.name} holds {f'{worth}, kept' if worth else 'nothing worth keeping'}")
    else:
        lines += _since_last(plan, item)
    return lines, stage.outlook(item.step.config, plan.input_folders(item), own, earlier, upstream)


def _since_last(plan: Plan, item: Planned) -> list[str]:
    """Return what changed since the newest run of the same step in this experiment, and which of its replies are not reused."""
    assert item.digest is not None
    found = [
        folder
        for folder in of_name(plan.store, item.stage, item.step.id, item.digest)
        if experiment_of(folder) == plan.experiment.name and identity_of(folder) is not None
    ]
    if not found:
        return []
    there = identity_of(found[0]) or {}
    here = identify(item.stage, item.step.config, {name: digest or "" for name, digest in item.hashes.items()})
    changed = changes(there, here)
    worth = item.stage.kept(found[0]) if item.stage.kept is not None and item.stage.reuse is not None else ""
    state = "the last run" if is_finished(found[0]) else "the last run, not finished"
    head = f"changed since {state} ({found[0].name}" + (f", {worth}" if worth else "") + "): "
    again = item.stage.bought_again([key for key, _, _ in changed]) if worth else []
    return [
        head + "; ".join(change_lines(changed)),
        *(["replies to unchanged requests are reused"] if worth else []),
        *again,
    ]
