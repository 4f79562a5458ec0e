"""Checks before a training whether a student that is named by a hub id is available on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra.errors import Problem
from gra.hub import hub_problem, is_hub_id
from gra.train.settings import StudentSettings


def problems(student: StudentSettings | None, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return why `student.model` is not available on the hub.

    Return [] if it is available, and if the student is not taken from the hub: if it is a folder, an input, or built
    from scratch. Also return [] if `student` is None; this means that it is invalid, which `check` reports.
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
