"""Every key that a user can set says what it does; what null and each named choice mean is part of that."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic.fields import FieldInfo
from settings_classes import settings_classes

from gra.settings import Settings


def fields() -> list[tuple[str, FieldInfo]]:
    return [
        (f"{model.__module__}.{model.__name__}.{name}", field)
        for model in settings_classes()
        for name, field in model.model_fields.items()
    ]


def test_the_settings_of_every_room_are_found() -> None:
    names = {f"{one.__module__}.{one.__name__}" for one in settings_classes()}
    expected = {"gra.train.settings.SftSettings", "gra.eval.settings.Suite", "gra.synthesis.settings.SynthesisSettings"}
    expected |= {"gra.weights.spec.HubFile", "gra.chain.config.experiment.ArmSettings", "gra.tracking.TrackingSettings"}
    expected |= {"gra.models.time_sharing.servers.PoolSettings", "gra.models.time_sharing.transformers.PoolSettings"}
    assert expected <= names


@pytest.mark.parametrize("model", settings_classes(), ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_a_settings_class_says_what_it_is_for(model: type[Settings]) -> None:
    assert (model.__dict__.get("__doc__") or "").strip()


def test_every_field_has_a_description() -> None:
    assert [name for name, field in fields() if not (field.description or "").strip()] == []


def test_descriptions_are_sentences() -> None:
    texts = {name: field.description or "" for name, field in fields()}
    assert {name: text for name, text in texts.items() if not text.endswith(".")} == {}
    assert {name: text for name, text in texts.items() if "\n" in text or "  " in text or "|" in text} == {}


def test_a_description_says_what_null_means() -> None:
    without = [
        name
        for name, field in fields()
        if type(None) in get_args(field.annotation) and "null" not in (field.description or "")
    ]
    assert without == []
