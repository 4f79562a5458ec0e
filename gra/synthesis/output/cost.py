"""PURE: computes the cost of a data set: tokens, calls, FLOPs, seconds, GPU-seconds, energy; by model, by role, per kept sample.

    FLOPs = 2 x parameters x (tokens in + tokens out)          a forward pass (Kaplan et al. 2020, arXiv 2001.08361, 2.1)
    kWh   = GPU-seconds x board_watts x pue / 3.6e6            if the run started the models' servers, else
    kWh   = FLOPs / (peak_tflops x 1e12 x utilisation) x board_watts x pue / 3.6e6

The FLOPs leave out: attention over the context (2 x layers x context x width per token: a few percent for an 8B model at 1k
tokens, more for long texts), retries after a fault, unneeded proposals (`in_vain` of run.json), and the embedder. Savings by a
server's prefix cache are not subtracted. For a mixture of experts, `parameters` should be the active ones. Unknown values are
None, never 0; `unknown_parameters` and `unknown_calls` say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gra.models.energy import EnergySettings

JOULES_PER_KWH = 3.6e6
Uses = Mapping[
    str, Mapping[str, Mapping[str, int | None]]
]  # `tokens` of stats.json: {model: {role: {in, out, calls, unknown}}}


def forward_flops(billions: float | None, tokens: int | None) -> float | None:
    """FLOPs of a forward pass of `tokens` through a model with `billions` of parameters; None if either is unknown."""
    return None if billions is None or tokens is None else 2e9 * billions * tokens


def account(uses: Uses, kept: int, parameters: Mapping[str, float | None]) -> dict[str, Any]:
    """Return `cost` of stats.json: the part of the cost that depends only on the config and the replies, so it is the
    same for the same data.

    `parameters`: billions by model. Like `tokens`, the sums of tokens and FLOPs include only calls with a token count
    from the server; `unknown_calls` counts the other calls. Both sums are None if they include a model that reported no
    tokens at all (in one of its roles). A sum of FLOPs is also None if it includes a model of unknown size.
    """
    entries = [
        (
            model,
            role.partition("-")[0],
            use["calls"] or 0,
            _tokens(use),
            forward_flops(parameters.get(model), _tokens(use)),
        )
        for model, roles in uses.items()
        for role, use in roles.items()
    ]
    total = _sums(entries)
    return {
        **total,
        "per_kept": {key: _share(value, kept) for key, value in total.items()},
        "by_model": {model: _sums(e for e in entries if e[0] == model) for model in sorted({e[0] for e in entries})},
        "by_role": {role: _sums(e for e in entries if e[1] == role) for role in sorted({e[1] for e in entries})},
        "parameters": {model: parameters.get(model) for model in sorted({*uses, *parameters})},
        "unknown_parameters": sorted(model for model in uses if parameters.get(model) is None),
        "unknown_calls": sum(use.get("unknown") or 0 for roles in uses.values() for use in roles.values()),
    }


def timed(
    seconds: Mapping[str, Mapping[str, float]],
    kept: int,
    *,
    flops: float | None,
    gpu_seconds: float | None = None,
    whole: bool = True,
    energy: EnergySettings | None = None,
) -> dict[str, Any]:
    """Return `cost` of run.json: the part of the cost that depends on how the run went.

    `seconds`: time waited for replies, by model and role, including queueing at the server. Calls wait concurrently, so
    the sum exceeds the elapsed time. `gpu_seconds`: GPUs x seconds of the servers that were started by this start of
    the run; None for external servers. `whole`: whether there was no earlier start, so that `gpu_seconds` is complete.
    `energy` None: no energy is stated.
    """
    kwh, basis = energy_kwh(flops, gpu_seconds if whole else None, energy)
    waited = sum(value for roles in seconds.values() for value in roles.values())
    total = {"seconds_waited": waited, "gpu_seconds": gpu_seconds, "energy_kwh": kwh}
    return {
        **total,
        "per_kept": {key: _share(value, kept) for key, value in total.items()},
        "seconds_by_model": {model: dict(sorted(roles.items())) for model, roles in sorted(seconds.items())},
        "gpu_seconds_of_whole_run": None if gpu_seconds is None else whole,
        "energy_basis": basis,
        "energy_assumptions": None if energy is None else energy.model_dump(),
    }


def in_vain(recorded: Uses, reported: Uses) -> dict[str, Any]:
    """Return `in_vain` of run.json: calls that were answered, and so paid for, but belong to no proposal of the data.
    Either their proposals were not needed in the end, or they were made under earlier settings. Their number depends on
    concurrency and restarts, so it is in run.json and not in stats.json.

    `recorded`: the calls in the journal; `reported`: `tokens` of stats.json; both {model: {role: {in, out, calls,
    unknown}}}. Tokens are sums over the calls with a token count from the server; None if no call has one.
    """
    by_model: dict[str, dict[str, int | None]] = {}
    for model, roles in sorted(recorded.items()):
        pairs = [(use, reported.get(model, {}).get(role, {})) for role, use in roles.items()]
        rest = {key: sum((use[key] or 0) - (own.get(key) or 0) for use, own in pairs) for key in ("calls", "in", "out")}
        known = any(use["in"] is not None for use in roles.values())
        by_model[model] = {key: count if known or key == "calls" else None for key, count in rest.items()}
    sums = {key: [use[key] for use in by_model.values()] for key in ("calls", "in", "out")}
    total = {key: None if None in values else sum(n for n in values if n is not None) for key, values in sums.items()}
    return {**total, "by_model": by_model}


def in_vain_in_words(vain: Mapping[str, Any]) -> str:
    """One line about unneeded calls, for people."""
    tokens = "tokens unknown" if vain["in"] is None else f"{vain['in']:,} tokens in, {vain['out']:,} out"
    return f"{vain['calls']:,} calls of proposals that were started but not needed ({tokens})"


def energy_kwh(
    flops: float | None, gpu_seconds: float | None, energy: EnergySettings | None
) -> tuple[float | None, str]:
    """Return (energy in kWh, its formula), or (None, what is missing). Measured GPU time is preferred to FLOPs."""
    if energy is None:
        return None, "not stated: pool.energy is null"
    if gpu_seconds is not None:
        return gpu_seconds * energy.board_watts * energy.pue / JOULES_PER_KWH, "GPU-seconds x board_watts x pue"
    if flops is not None:
        busy = flops / (energy.peak_tflops * 1e12 * energy.utilisation)
        return (
            busy * energy.board_watts * energy.pue / JOULES_PER_KWH,
            "FLOPs / (peak x utilisation) x board_watts x pue",
        )
    return None, "unknown: no GPU-seconds, and the FLOPs are not known (`parameters` of each model in the pool)"


def _tokens(use: Mapping[str, int | None]) -> int | None:
    tokens_in, tokens_out = use["in"], use["out"]
    return None if tokens_in is None or tokens_out is None else tokens_in + tokens_out


def _sums(entries: Iterable[tuple[str, str, int, int | None, float | None]]) -> dict[str, Any]:
    entries = list(entries)
    tokens, flops = [e[3] for e in entries], [e[4] for e in entries]
    return {
        "calls": sum(e[2] for e in entries),
        "tokens": None if None in tokens else sum(n for n in tokens if n is not None),
        "flops": None if None in flops else sum(n for n in flops if n is not None),
    }


def _share(value: float | None, kept: int) -> float | None:
    return None if value is None or not kept else value / kept
