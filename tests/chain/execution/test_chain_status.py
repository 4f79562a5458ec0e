"""What `gra run` and `gra plan` show of a running step's status.json."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gra.chain.execution.display import STATUS, status_line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"line": "round 1 of 2: 3 of 10", "age": 1}, "round 1 of 2: 3 of 10"),
        ({"line": "moves\x1b[2Jthe cursor", "age": 1}, "moves [2Jthe cursor"),
        ({"line": "old", "age": 3600}, ""),
        ({"line": "no time"}, ""),
        ({"line": "x", "updated_at": "now"}, ""),
        ([1], ""),
    ],
)
def test_only_a_fresh_status_is_shown(tmp_path: Path, content: Any, expected: str) -> None:
    if "age" in content:
        content = {"line": content["line"], "updated_at": time.time() - content["age"]}
    (tmp_path / STATUS).write_text(json.dumps(content))
    assert status_line(tmp_path) == expected


def test_a_missing_or_torn_status_is_nothing(tmp_path: Path) -> None:
    assert status_line(tmp_path) == ""
    (tmp_path / STATUS).write_text('{"line": "half')
    assert status_line(tmp_path) == ""
