"""PURE: estimates the FLOPs, GPU-hours and disk space of a plan, as text for `gra plan` that states its assumptions.

generating  2 x parameters x tokens            a forward pass (Kaplan et al. 2020, arXiv 2001.08361, 2.1)
training    6 x parameters x tokens            forward and backward
GPU-hours   FLOPs / (PEAK x share of the peak)
"""

from __future__ import annotations

import re

PEAK = 989e12  # FLOPs a second of one H100 SXM, dense bfloat16 (NVIDIA's data sheet)
GENERATING, TRAINING = 0.1, 0.4  # reached shares of PEAK; assumed, not measured. Generation waits for memory
_SIZE = re.compile(r"(?<![a-zA-Z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)


def billions_named(name: str) -> float | None:
    """Return the number of parameters, in billions, that a model's name states. It is 7 for Qwen2.5-7B and 0.135 for
    SmolLM2-135M. Return None if the name states no such number, or several different ones."""
    found = {float(size) * (1 if unit in "bB" else 1e-3) for size, unit in _SIZE.findall(name)}
    return found.pop() if len(found) == 1 else None


def in_words(flops: float, share: float) -> str:
    """Return a text with the number of FLOPs and the GPU-hours that they take. `share`: the assumed fraction of the
    GPU's peak."""
    hours = hours_in_words(gpu_hours(flops, share))
    return f"{short(flops)}FLOPs, {hours} GPU-hours (assumed: {share:.0%} of an H100's 989 TFLOP/s in bfloat16)"


def gpu_hours(flops: float, share: float) -> float:
    """Return the hours that one GPU needs for `flops` if it reaches the fraction `share` of PEAK."""
    return flops / (PEAK * share) / 3600


def hours_in_words(hours: float) -> str:
    """Return rounded hours as text."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def about(number: float) -> str:
    """Return a rounded number as text: 1,234,567 -> 1.2 million; 9,812 -> 9,800."""
    if number >= 1e6:
        return f"{number / 1e6:,.1f} million" if number < 1e9 else f"{number / 1e9:,.1f} billion"
    digits = max(len(str(int(number))) - 2, 0)
    return f"{round(number, -digits):,.0f}"


def disk(size: float) -> str:
    """Return a size in bytes as text, rounded, in GB or MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{max(size / 1e6, 1):,.0f} MB"


def short(number: float) -> str:
    """Return a number as text with a metric prefix, e.g. `1.2 E` for 1.2e18. The caller appends the unit."""
    for power, name in ((1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T")):
        if number >= power:
            return f"{number / power:,.1f} {name}"
    return f"{number / 1e9:,.1f} G"
