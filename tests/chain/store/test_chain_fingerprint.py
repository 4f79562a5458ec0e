"""A fingerprint changes with all that decides a result, and with nothing else."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gra.chain.store.fingerprint import differences, fingerprint, hashed_config, identity, leaves
from gra.errors import ConfigError

KEYS = st.text(min_size=1, max_size=6).filter(lambda k: k != "runtime")
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=12)
CONFIGS = st.dictionaries(KEYS, VALUES, max_size=4)


def of(config: dict[str, Any], **more: Any) -> str:
    return fingerprint(identity("stage", 1, config, more.pop("inputs", {}), **more))


def mappings(value: Any) -> list[dict[str, Any]]:
    """Every mapping inside `value`, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict) else []) + [m for v in inner for m in mappings(v)]


@given(CONFIGS, VALUES, st.randoms(use_true_random=False))
def test_runtime_never_matters(config: dict[str, Any], value: Any, rng: random.Random) -> None:
    changed = copy.deepcopy(config)
    rng.choice(mappings(changed))["runtime"] = value
    assert of(changed) == of(config)


@given(CONFIGS, st.randoms(use_true_random=False))
def test_key_order_never_matters(config: dict[str, Any], rng: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            rng.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(v) for v in value] if isinstance(value, list) else value

    assert of(shuffled(config)) == of(config)


@given(CONFIGS, LEAVES, st.randoms(use_true_random=False))
def test_any_other_leaf_matters(config: dict[str, Any], value: Any, rng: random.Random) -> None:
    places = [(m, k) for m in mappings(config) for k in m]
    assume(places)
    before, old = of(config), copy.deepcopy(config)
    mapping, key = rng.choice(places)
    assume(repr(mapping[key]) != repr(value))
    mapping[key] = value
    assert of(config) != before
    assert differences(identity("stage", 1, old, {}), identity("stage", 1, config, {}))


def test_stage_version_inputs_and_files_matter() -> None:
    base = identity("stage", 1, {"path": "a", "x": 1}, {"data": "h1"}, {"path": "f1"})
    assert fingerprint(base) == fingerprint(
        identity("stage", 1, {"path": "elsewhere", "x": 1}, {"data": "h1"}, {"path": "f1"})
    )
    others = [
        identity("other", 1, {"path": "a", "x": 1}, {"data": "h1"}, {"path": "f1"}),
        identity("stage", 2, {"path": "a", "x": 1}, {"data": "h1"}, {"path": "f1"}),
        identity("stage", 1, {"path": "a", "x": 1}, {"data": "h2"}, {"path": "f1"}),
        identity("stage", 1, {"path": "a", "x": 1}, {"more": "h1"}, {"path": "f1"}),
        identity("stage", 1, {"path": "a", "x": 1}, {"data": "h1"}, {"path": "f2"}),
        identity("stage", 1, {"path": "a", "x": 1}, {"data": "h1"}, {}),
    ]
    assert len({fingerprint(i) for i in [base, *others]}) == 7


def test_dropped_keys_may_have_a_wildcard() -> None:
    config = {"pool": {"url": "u", "models": [{"name": "a", "url": "v"}, {"name": "b"}]}}
    assert hashed_config(config, ["pool.url", "pool.models.*.url"]) == {
        "pool": {"models": [{"name": "a"}, {"name": "b"}]}
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, Path("x"), object(), {1, 2}, {3: "x"}, b"bytes"])
def test_what_has_no_canonical_form_is_refused_by_key(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"a\.b\.1.*canonical"):
        hashed_config({"a": {"b": [0, value]}})
    with pytest.raises(ConfigError):  # it would break the manifest after all the work was done
        hashed_config({"runtime": {"x": value}})


def test_differences_name_the_keys_and_are_cut() -> None:
    old = {"config": {"tau": 8, "same": 1, "gone": None}}
    new = {"config": {"tau": 7, "same": 1}}
    assert differences(old, new) == ["config.gone: None there, not set here", "config.tau: 8 there, 7 here"]
    many = differences({}, {str(i): i for i in range(20)})
    assert len(many) == 9
    assert many[-1] == "... and 12 more"
    assert dict(leaves({"a": [], "b": {"c": [1]}})) == {"a": [], "b.c.0": 1}
