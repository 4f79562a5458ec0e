"""Where everything went, for a run that kept no sample: what the user is told instead of a data set."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
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
