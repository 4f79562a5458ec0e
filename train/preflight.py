"""Checks what a training needs outside its config: a student on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra.errors import Problem
from gra.hub import hub_problem, is_hub_id
from gra.train.settings import StudentSettings


def problems(student: StudentSettings | None, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return why `student.model` is not available on the hub.

    Return [] if it is, or if the student is a folder, built here, or an input. `student` is None if it is invalid; `check`
    reports why.
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
