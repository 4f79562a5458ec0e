"""What people are told of the servers: the reason with each unhealthy one, the limits of the busy ones, and no call that waits."""

from __future__ import annotations

import json
from typing import Any

from gra.synthesis.engine.engine import Traffic
from gra.synthesis.progress.server_text import limits, unhealthy
from gra.synthesis.progress.state import State
from gra.synthesis.progress.status_file import status
from gra.synthesis.progress.terminal import line


def server(url: str, model: str, in_flight: int, limit: int, why: str | None = None) -> dict[str, Any]:
    return {"url": url, "model": model, "in_flight": in_flight, "limit": limit, "answered": 1, "unhealthy": why}


SERVERS = [
    server("http://a/v1", "m", 3, 16),
    server("http://b/v1", "m", 8, 8),
    server("http://c/v1", "n", 0, 1, "HTTP 503:\n gone"),
]


def test_words() -> None:
    assert unhealthy(SERVERS) == ["http://c/v1 (n: HTTP 503: gone)"]
    assert limits(SERVERS) == "m at http://a/v1 3/16, m at http://b/v1 8/8"
    assert limits(SERVERS[1:2]) == "m 8/8"
    assert (unhealthy([]), limits([])) == ([], "")


def test_status_and_line_say_who_is_unhealthy_and_why() -> None:
    traffic = Traffic()
    for _ in range(100):
        traffic.sent("m")  # most of them wait in the backend
    state = State(
        traffic, 1, servers_out=lambda: ["http://c/v1"], servers=lambda: SERVERS, in_flight=lambda: {"m": 11, "n": 0}
    )
    snapshot = state.snapshot()
    assert "unhealthy servers: http://c/v1 (n: HTTP 503: gone)" in line(snapshot)
    assert "11 in flight" in line(snapshot)
    told = json.loads(json.dumps(status(snapshot, "", 0.0, 0.0)))
    assert told["servers"] == SERVERS
    assert told["in_flight"] == {"m": 11, "n": 0}
