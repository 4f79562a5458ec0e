"""Decides which settings of a model pool can change a reply. Only these are part of the key under which a reply is
stored. The other settings say where and how fast the models run.

A setting that is not listed here is treated as one that changes replies. This can cause an unnecessary call, but a
stale reply is never reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gra.weights.spec import Weights

# Keys that change no reply -> whether a step's fingerprint contains them nevertheless. A new key gets False. True marks keys that
# older fingerprints contain: these fingerprints must not change.
PLACE_ONLY = {
    "_target_": True,
    "models": True,  # the list itself; the keys of each model are in PLACE_ONLY_OF_MODEL
    "simulated": True,
    "batch": True,
    "max_loaded": True,
    "base_url": False,
    "addresses": False,
    "api_key_env": False,
    "check_models": False,
    "energy": False,
    "serve": False,
    "python": False,
    "start_timeout_s": False,
    "gpu_memory_utilization": False,
}
PLACE_ONLY_OF_MODEL = {
    "name": True,
    "parameters": True,
    "weights": True,
    "base_url": False,
}  # the part of `weights` that counts is Weights.identity
# keys that say where the weights come from; the weights are identified by their sha256
_OF_WEIGHTS = ("hub", "packages", "licence", "file", "bytes")

NOT_HASHED = (
    *(f"pool.{key}" for key, hashed in PLACE_ONLY.items() if not hashed),
    *(f"pool.models.*.{key}" for key, hashed in PLACE_ONLY_OF_MODEL.items() if not hashed),
    *(f"pool.models.*.weights.{key}" for key in _OF_WEIGHTS),
)  # the keys of `pool` that are not in the fingerprint of a stage that calls models


def served_as(pool: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash for each model of a valid pool, by the model's name. The hash covers the settings that can change
    the model's replies: weights, revision, system role, extra_body and strip_think.

    A reply is stored under a key that contains this hash. So a reply from a differently configured model is never
    reused.
    """
    common = {key: value for key, value in pool.items() if key not in PLACE_ONLY and value is not None}
    spelled = [m if isinstance(m, Mapping) else {"name": m} for m in pool["models"]]
    found = {}
    for model in spelled:
        own = {key: value for key, value in model.items() if key not in PLACE_ONLY_OF_MODEL and value is not None}
        if model.get("weights") is not None:
            own["weights"] = Weights.model_validate(model["weights"]).identity
        text = json.dumps([common, own], sort_keys=True, ensure_ascii=True, default=str)
        found[str(model["name"])] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found
