"""What a training needs outside its config: its student, where that is a hub id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.hub import hub_problem, is_hub_id
from gra.settings import parse
from train.settings import StudentSettings


def problems(config: dict[str, Any], inputs: Mapping[str, Path | None]) -> list[Problem]:
    """What keeps `student.model` from being had at the hub; nothing where it is a folder, made here, or an input."""
    student, _ = parse(StudentSettings, config.get("student") or {})
    if student is None or student.model is None or student.build is not None or "student" in inputs or not is_hub_id(student.model):
        return []
    found = hub_problem("student.model", student.model, revision=student.revision)
    return [found] if found is not None else []
