"""Reports for `gra plan` what each unfinished step already has, what changed since its last run, and its estimated cost.

The stages estimate the cost (hook `outlook`): gra/synthesis/output/price.py the calls, train/cost_estimate.py the GPU-hours.
"""

from __future__ import annotations

from gra.chain.execution.plan import Plan, Planned
from gra.chain.execution.runner import identify
from gra.chain.store.earlier import identity_of, in_store, is_finished, of_name
from gra.chain.store.fingerprint import change_lines, changes
from gra.chain.store.working import worth_of


def of_unfinished(plan: Plan) -> list[str]:
    """Return one fact per line, each prefixed with its step. Finished steps and duplicates of earlier steps have none."""
    twins = plan.twins()
    lines = []
    for name, item in plan.steps.items():
        if item.folder is None and twins[name] == name:
            lines += [f"{name}: {line}" for line in _of_step(plan, item)]
    return lines


def _of_step(plan: Plan, item: Planned) -> list[str]:
    if item.digest is None:
        return []
    stage, name = item.stage, item.step.id
    earlier = in_store(plan.store, stage, name, item.digest)
    lines = []
    own = plan.store.find_partial(stage.name, item.digest)
    if own is not None:
        worth = worth_of(stage, own)
        lines.append(f"not finished: {own.name} holds {f'{worth}, kept' if worth else 'nothing worth keeping'}")
    else:
        lines += _since_last(plan, item)
    return lines + stage.outlook(item.step.config, plan.input_folders(item), own, earlier)


def _since_last(plan: Plan, item: Planned) -> list[str]:
    """Return what changed since the newest run of the same name, and which of its replies are not reused."""
    assert item.digest is not None
    found = [
        folder
        for folder in of_name(plan.store, item.stage, item.step.id, item.digest)
        if identity_of(folder) is not None
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
