"""Handles requests that keep failing although their server answers other requests. Each gets a reply that contains an
error, and run.json gets their number."""

from __future__ import annotations

import logging
from collections import Counter

from gra.models.base import Reply, Request
from gra.models.openai.http_client import Fault
from gra.models.openai.server_state import Server

log = logging.getLogger(__name__)

_SPECIFIC = {
    "busy": 0,
    "connection": 1,
    "timeout": 2,
    "status": 3,
    "body": 4,
}  # a fault with a higher number says more about the request
_REASONS = {"connection": "the connection broke", "timeout": "no reply in time"}
_LOGGED = 3  # requests per model that are logged one by one


def specific(fault: Fault, others: bool) -> tuple[bool, int]:
    """Return a sort key for the faults of one request. The larger the key, the more likely it is that the request
    itself caused the fault. `others`: whether the server answered other requests meanwhile."""
    return others, _SPECIFIC[fault.kind]


class RequestFaults:
    """Counts the requests that are themselves the cause of their failures."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def account(self) -> dict[str, dict[str, int]]:
        """Return the number of requests at fault, by model and reason, for run.json."""
        return {model: dict(counts) for model, counts in self._counts.items()}

    def reply(self, request: Request, server: Server, worst: Fault, tried: str) -> Reply:
        """Return a reply with an error, for a request that is itself the cause of its failures. Count the request, and
        log it if it is among the first three (`_LOGGED`) such requests of its model.

        `worst`: of the failures of this request, the one that shows most clearly that the request is the cause.
        `tried`: a description of the attempts, for the log.

        The reply's error becomes part of the data, so it contains no counts, times or anything else that differs from
        run to run.
        """
        counts = self._counts.setdefault(request.model, Counter())
        words = _REASONS.get(worst.kind) or str(worst)
        counts[words[:120]] += 1
        if sum(counts.values()) <= _LOGGED:
            more = "; further ones are counted in run.json" if sum(counts.values()) == _LOGGED else ""
            log.warning(
                "%s, model `%s`: a request keeps failing while others succeed and is abandoned (%s)%s",
                server.url,
                request.model,
                tried,
                more,
            )
        return Reply("", finish="error", error=f"failed at every attempt: {words}")
