"""Where everything went, for a run that kept no sample: what the user is told instead of a data set."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.synthesis.protocol import REASONS
from gra.synthesis.remarks import troubles
from gra.synthesis.rounds import Synthesis


def account_of_nothing(result: Synthesis, output: Path, stats: Mapping[str, Any]) -> str:
    """Where everything went, for a run that kept no sample: one line a reason, most frequent first, with an example; then the
    models that were of little use."""
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
            lines.append(f"  {count} x {REASONS[reason]}" + (f" (e.g. {example[:160]})" if example else ""))
        if not result.rejected:
            lines.append("  no domain holds enough annotated seeds to show the generator (synthesis.shots)")
    lines += [f"  model {text}" for text in troubles(stats["replies"], stats["refused"])]
    lines.append(
        "Nothing was invented in their place. The replies are in the journal: "
        f"{shlex.join(['gra', 'inspect', str(output), '--list'])} shows them. Models that "
        "ignore response_format need a server that constrains decoding, or larger models."
    )
    return "\n".join(lines)


def account_of_blindness(faults: Sequence[str], output: Path, stats: Mapping[str, Any]) -> str:
    """What a run learned that `synthesis.stop_when_blind` ended: the committee's faults, and what can be done about them."""
    after = f"after {stats['proposals']:,} proposals its reviews tell nothing apart"
    lines = [f"The run was ended (synthesis.stop_when_blind): {after}."]
    lines += [f"  {fault}" for fault in faults]
    shown = shlex.join(["gra", "inspect", str(output), "--list"])
    lines.append(f"Nothing of it is offered as training data; {shown} shows the {stats['kept']:,} samples that it would have kept.")
    lines.append("    -> choose reviewers that can tell (gra probe qualifies them), or set synthesis.stop_when_blind=null")
    return "\n".join(lines)
