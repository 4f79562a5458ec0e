"""Writes the error messages of runs that end without a data set: no sample was kept, or the committee could not tell
good samples from bad ones."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.reasons import text_of
from gra.synthesis.replies.remarks import troubles
from gra.synthesis.rounds import Synthesis

# reasons for drops that are a judgement of the committee, not a missing or unusable reply
JUDGED = ("instruction_rejected", "below_tau", "disputed", "adjudicated_out", "too_little_agreement")


def judged(result: Synthesis) -> bool:
    """Return whether the committee's verdicts dropped at least one proposal. A missing or unusable reply is not a
    verdict."""
    return any(outcome.reason in JUDGED for outcome in result.rejected)


def nothing_kept(result: Synthesis, output: Path, stats: Mapping[str, Any]) -> str:
    """Return the error message for a run that kept no sample. It lists the reasons why proposals were dropped, most
    frequent first, each with an example. Then it lists the models with many unusable replies."""
    lines = []
    if result.seeds.failed and not result.seeds.records:
        lines.append(f"No sample was made: none of {len(result.seeds.failed)} seeds could be annotated.")
        faults = Counter(fault for _, fault in result.seeds.failed)
        lines += [f"  {count} x unusable reply: {fault}" for fault, count in faults.most_common(5)]
    else:
        lines.append(f"No sample was kept of {len(result.rejected)} proposals.")
        reasons = Counter(o.reason for o in result.rejected)
        for reason, count in reasons.most_common():
            example = next((o.detail for o in result.rejected if o.reason == reason and o.detail), "")
            lines.append(f"  {count} x {text_of(reason)}" + (f" (e.g. {example[:160]})" if example else ""))
        if not result.rejected:
            lines.append("  no domain has enough annotated seeds to show the generator (synthesis.shots)")
    lines += [f"  model {text}" for text in troubles(stats["replies"], stats["refused"])]
    lines.append(
        "Missing replies are not replaced. The journal keeps all replies, and the same command answers equal requests from it: "
        f"{shlex.join(['gra', 'inspect', str(output), '--list'])}\n    -> {_remedy(result)}"
    )
    return "\n".join(lines)


def _remedy(result: Synthesis) -> str:
    """Return what to do about the most frequent reason for drops."""
    reasons = Counter(o.reason for o in result.rejected)
    most = reasons.most_common(1)[0][0] if reasons else ""
    if most == "unlikely_task":
        return "the classifier of synthesis.task_labels passes nothing: lower synthesis.task_threshold, or label more instructions"
    if most in JUDGED:
        return (
            "the committee passes nothing: `gra probe` shows whether its models can judge; small models judge better with "
            "synthesis.scoring=probability and synthesis.calibrate=probe, and more proposals (synthesis.max_proposals) or a "
            "lower synthesis.tau keep more"
        )
    return (
        "if models ignore response_format (a backend of your own must send request.schema), use a server that constrains "
        "decoding, or larger models; after a change of your backend's code, rename its class"
    )


def blind_committee(faults: Sequence[str], output: Path, stats: Mapping[str, Any]) -> str:
    """Return the error message for a run that ended early because the reviews carried no information (setting
    `synthesis.stop_when_blind`). The message says what is wrong with the committee (`faults`), and what the user can do
    about it."""
    after = f"after {stats['proposals']:,} proposals its reviews do not distinguish good samples from bad ones"
    lines = [f"The run was stopped (synthesis.stop_when_blind): {after}."]
    lines += [f"  {fault}" for fault in faults]
    shown = shlex.join(["gra", "inspect", str(output), "--list"])
    lines.append(
        f"No training data was written; {shown} shows the {stats['kept']:,} samples that would have been kept."
    )
    lines.append("    -> choose other reviewers (gra probe measures them), or set synthesis.stop_when_blind=null")
    return "\n".join(lines)
