"""PURE: computes the cost of a data set: tokens, calls, FLOPs, seconds, GPU-seconds, energy; by model, by role, per kept sample.

    FLOPs = 2 x parameters x (tokens in + tokens out)          a forward pass (Kaplan et al. 2020, arXiv 2001.08361, 2.1)
    kWh   = GPU-seconds x board_watts x pue / 3.6e6            if the run started the models' servers, else
    kWh   = FLOPs / (peak_tflops x 1e12 x utilisation) x board_watts x pue / 3.6e6

The FLOPs leave out attention over the context (2 x layers x context x width per token: a few percent for an 8B model at
1k tokens, more for long texts), calls that were repeated after a server's fault, unneeded proposals (`in_vain` of
run.json), and the embedder. Savings by a server's prefix cache are not subtracted. For a mixture of experts, set
`parameters` to the number of active parameters. An unknown value is None, never 0. `unknown_parameters` lists the
models of unknown size, and `unknown_calls` counts the calls with unknown tokens.
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
    """Return the FLOPs of a forward pass over `tokens` tokens through a model with `billions` billion parameters.
    Return None if one of the two numbers is unknown."""
    return None if billions is None or tokens is None else 2e9 * billions * tokens


def account(uses: Uses, kept: int, parameters: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the value `cost` of stats.json: the calls, tokens and FLOPs of the run. They depend only on the config and
    the replies, so two runs with the same replies report the same cost.

    `uses`: the value `tokens` of stats.json. `kept`: the number of kept samples. `parameters`: the size of each model
    in billions of parameters.

    The sums of tokens and FLOPs leave out calls whose tokens the server did not report. `unknown_calls` counts these
    calls. If the server reported no tokens for any call of a model in a role, every sum of tokens or FLOPs that
    includes this model in this role is None. A sum of FLOPs is also None if it includes a model of unknown size.
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
    """Return the value `cost` of run.json: the waiting time, the GPU time and the energy. They depend on the machine
    and on the course of the run.

    `seconds`: the time waited for replies, by model and role. It includes queueing at the server. Calls wait
    concurrently, so the sum exceeds the elapsed time. `gpu_seconds`: the GPU-seconds (number of GPUs x seconds) of the
    servers that this process started, or None if it started no servers. `whole`: whether this process made all calls of
    the run, so that `gpu_seconds` is complete. `energy`: the settings from which the energy is computed, e.g. the power
    of a GPU. If `energy` is None, the energy in the result is None.
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
    """Return the value `in_vain` of run.json: how many calls and tokens were paid for but not used in the data set.
    Such a call belongs to a proposal that was not needed in the end, or it was made with settings that were changed
    later. The numbers depend on concurrency and restarts, so they are in run.json and not in stats.json.

    `recorded`: all calls in the journal. `reported`: the calls in the value `tokens` of stats.json. Both have the form
    {model: {role: {in, out, calls, unknown}}}. The result gives the numbers in total and by model. The tokens of a
    model are None if the server reported none for it.
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
    """Return a sentence that states the result of `in_vain`."""
    tokens = "tokens unknown" if vain["in"] is None else f"{vain['in']:,} tokens in, {vain['out']:,} out"
    return f"{vain['calls']:,} calls of proposals that were started but not needed ({tokens})"


def energy_kwh(
    flops: float | None, gpu_seconds: float | None, energy: EnergySettings | None
) -> tuple[float | None, str]:
    """Return the energy in kWh and the formula used. If the energy is unknown, return None and the reason. The energy
    is computed from the GPU time if this was measured, else from the FLOPs."""
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
