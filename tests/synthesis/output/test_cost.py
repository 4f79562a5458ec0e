"""The cost account: the formulas, what is unknown stays unknown, and its place in stats.json and run.json."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scripted import MODELS, RECORDS, ROLES, Scripted

from gra.models.energy import EnergySettings
from gra.models.pool import check_pool
from gra.synthesis.committee.calls import Rules
from gra.synthesis.committee.protocol import Proposal, propose
from gra.synthesis.engine.engine import Engine
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.journal_read import seconds_waited
from gra.synthesis.output.cost import account, energy_kwh, forward_flops, timed
from gra.synthesis.output.stats import statistics
from gra.synthesis.settings import SynthesisSettings

USES = {
    "a": {
        "generator": {"in": 100, "out": 50, "calls": 3, "unknown": 0},
        "reviewer-1": {"in": 30, "out": 20, "calls": 2, "unknown": 0},
        "reviewer-2": {"in": 10, "out": 0, "calls": 1, "unknown": 0},
    },
    "b": {"generator": {"in": 7, "out": 3, "calls": 1, "unknown": 0}},
}
count = st.integers(0, 10**9)
use = st.fixed_dictionaries({"in": count, "out": count, "calls": st.integers(1, 10**6), "unknown": st.just(0)})
some_uses = st.dictionaries(
    st.sampled_from(MODELS),
    st.dictionaries(st.sampled_from(["generator", "reviewer-1", "reviewer-2"]), use, min_size=1),
)


def test_flops_are_two_per_parameter_and_token() -> None:
    assert forward_flops(8.0, 1000) == 2 * 8e9 * 1000
    found = account(USES, 5, {"a": 8.0, "b": 72.0})
    assert found["flops"] == 2 * 8e9 * 210 + 2 * 72e9 * 10
    assert (found["tokens"], found["calls"]) == (220, 7)
    assert found["per_kept"] == {"calls": 7 / 5, "tokens": 44.0, "flops": found["flops"] / 5}
    assert found["by_model"]["b"] == {"calls": 1, "tokens": 10, "flops": 2 * 72e9 * 10}
    assert found["by_role"]["reviewer"] == {"calls": 3, "tokens": 60, "flops": 2 * 8e9 * 60}  # seats are one role


def test_an_unknown_size_makes_every_sum_with_it_unknown_and_says_so() -> None:
    found = account(USES, 5, {"a": 8.0, "b": None})
    assert found["flops"] is None
    assert found["per_kept"]["flops"] is None
    assert found["by_model"]["a"]["flops"] == 2 * 8e9 * 210
    assert found["by_model"]["b"] == {"calls": 1, "tokens": 10, "flops": None}
    assert found["by_role"]["generator"]["flops"] is None
    assert found["by_role"]["reviewer"]["flops"] is not None
    assert found["unknown_parameters"] == ["b"]
    assert found["tokens"] == 220  # what is known stays
    assert account(USES, 5, {})["unknown_parameters"] == ["a", "b"]


def test_unknown_tokens_are_not_counted_as_none_and_are_told() -> None:
    silent = {"a": {"generator": {"in": None, "out": None, "calls": 4, "unknown": 4}}}
    found = account(silent, 2, {"a": 8.0})
    assert (found["tokens"], found["flops"], found["calls"], found["unknown_calls"]) == (None, None, 4, 4)
    partly = {"a": {"generator": {"in": 10, "out": 10, "calls": 4, "unknown": 1}}}
    assert account(partly, 2, {"a": 1.0})["unknown_calls"] == 1


def test_nothing_kept_and_nothing_asked() -> None:
    assert account(USES, 0, {"a": 8.0, "b": 8.0})["per_kept"] == {"calls": None, "tokens": None, "flops": None}
    assert account({}, 3, {})["flops"] == 0  # known: no call was made


@given(some_uses, st.dictionaries(st.sampled_from(MODELS), st.floats(0.1, 1000) | st.none()), st.integers(0, 10**6))
def test_sums_agree_by_model_and_by_role(uses: dict, sizes: dict, kept: int) -> None:
    found = account(uses, kept, sizes)
    for parts in (found["by_model"], found["by_role"]):
        assert sum(part["calls"] for part in parts.values()) == found["calls"]
        assert sum(part["tokens"] for part in parts.values()) == found["tokens"]
        if found["flops"] is not None:
            assert sum(part["flops"] for part in parts.values()) == pytest.approx(found["flops"])
        else:
            assert any(part["flops"] is None for part in parts.values())
    assert (found["flops"] is None) == bool(found["unknown_parameters"])
    json.dumps(found, allow_nan=False)


def test_energy_comes_from_gpu_time_first_then_from_flops_then_not_at_all() -> None:
    energy = EnergySettings(board_watts=500, pue=1.2, peak_tflops=100, utilisation=0.5)
    assert energy_kwh(1e18, 3600.0, energy) == (pytest.approx(0.6), "GPU-seconds x board_watts x pue")
    kwh, basis = energy_kwh(1e18, None, energy)
    assert kwh == pytest.approx(1e18 / (100e12 * 0.5) * 500 * 1.2 / 3.6e6)
    assert basis.startswith("FLOPs")
    assert energy_kwh(None, None, energy)[0] is None
    assert energy_kwh(1e18, 3600.0, None)[0] is None
    with pytest.raises(ValidationError):
        EnergySettings(pue=0.9)


def test_gpu_time_of_the_last_start_alone_is_not_taken_for_the_whole_run() -> None:
    energy = EnergySettings()
    part = timed({"a": {"generator": 3.0}}, 2, flops=None, gpu_seconds=10.0, whole=False, energy=energy)
    assert (part["gpu_seconds"], part["gpu_seconds_of_whole_run"], part["energy_kwh"]) == (10.0, False, None)
    whole = timed({"a": {"generator": 3.0}}, 2, flops=None, gpu_seconds=10.0, energy=energy)
    assert whole["per_kept"]["gpu_seconds"] == 5.0
    assert whole["energy_assumptions"] == energy.model_dump()
    assert timed({}, 0, flops=None)["per_kept"] == {"seconds_waited": None, "gpu_seconds": None, "energy_kwh": None}


def test_the_account_of_real_outcomes_and_their_journal(tmp_path: Path) -> None:
    settings = SynthesisSettings()

    async def main() -> list:
        with Journal(tmp_path / "j.sqlite") as journal:
            talks = (
                propose(Proposal(f"r1-{i:06d}", 1, i, "coding", RECORDS, ROLES), Rules(0, settings)) for i in range(6)
            )
            engine = Engine(Scripted(jitter=0.002), journal, 8)
            outcomes = [o async for o in engine.stream(talks)]
            assert engine.traffic.answered == engine.traffic.requested == sum(len(o.calls) for o in outcomes)
            assert set(engine.traffic.in_flight.values()) == {0}
            return outcomes

    outcomes = asyncio.run(main())
    stats = statistics([o for o in outcomes if o.status == "accepted"], [o for o in outcomes if o.status == "rejected"])
    found = account(stats["tokens"], stats["kept"], dict.fromkeys(MODELS, 8.0))
    assert found["calls"] == stats["calls"]
    assert found["flops"] == 2 * 8e9 * found["tokens"]
    seconds = seconds_waited(tmp_path / "j.sqlite")
    assert set(seconds) == set(stats["tokens"])
    assert set(seconds["m1"]) == set(stats["tokens"]["m1"])
    assert all(value >= 0 for roles in seconds.values() for value in roles.values())


def test_sizes_and_assumptions_come_from_the_pool() -> None:
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "models": ["a", {"name": "b", "parameters": 8}],
        "base_url": "http://h/v1",
    }
    assert check_pool(pool | {"energy": {"board_watts": 400}}, {}) == []
    assert [p.key for p in check_pool(pool | {"energy": {"wats": 1}}, {})] == ["pool.energy.wats"]
    assert [p.key for p in check_pool(pool | {"energy": {"utilisation": 0}}, {})] == ["pool.energy.utilisation"]
