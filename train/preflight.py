"""Checks before a training whether a student that is named by a hub id is available on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra.errors import Problem
from gra.hub import hub_problem, is_hub_id
from gra.train.settings import StudentSettings


def problems(student: StudentSettings | None, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return a problem if the student `student.model` is not available on the hub; [] if it is available.

    If the student comes from a folder or an input, or is built from scratch, return [] without a check. If `student` is
    None because its settings are invalid, return [], because `check` reports that.
    """
    if (
        student is None
        or student.model is None
        or student.build is not None
        or "student" in inputs
        or not is_hub_id(student.model)
    ):
        return []
    found = hub_problem("student.model", student.model, revision=student.revision)
    return [found] if found is not None else []
