"""PURE: describes the model servers in words: which are unhealthy and why, and how many calls are in flight at each.

`servers` is the result of a backend's `servers()`; see `gra.models.openai.server_state.Server.state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 120  # maximum characters of a reason


def unhealthy(servers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one text for each server URL that has unhealthy models. It names the URL, its unhealthy models, and the
    reason for the first of them."""
    models: dict[str, list[str]] = {}
    why: dict[str, str] = {}
    for server in servers:
        if server["unhealthy"] is not None:
            models.setdefault(server["url"], []).append(server["model"])
            why.setdefault(server["url"], " ".join(server["unhealthy"].split())[:_LONGEST])
    return [f"{url} ({', '.join(names)}: {why[url]})" for url, names in models.items()]


def limits(servers: Sequence[Mapping[str, Any]]) -> str:
    """Return a text such as "slm-a 3/16, slm-b 8/8". For each server with calls in flight, it gives the number of these
    calls and the server's limit."""
    busy = [s for s in servers if s["in_flight"]]
    several = {s["model"] for s in servers if sum(s["model"] == other["model"] for other in servers) > 1}
    named = [(f"{s['model']} at {s['url']}" if s["model"] in several else s["model"], s) for s in busy]
    return ", ".join(f"{name} {s['in_flight']:,}/{s['limit']:,}" for name, s in named)
