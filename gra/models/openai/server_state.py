"""Holds the state of one model at one server (`Server`) and of one attempt there (`InFlightCall`), for queue and health checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gra.models.openai.in_flight_limit import InFlightLimit
from gra.models.openai.passing_faults import PassingFaults

SUSPECT = 3  # different requests that failed in a row
FIRST_PROBE_S = 1.0  # seconds before the first probe of an unhealthy server


class Server:
    """One model at one base URL. Times are those of the event loop's clock."""

    def __init__(self, url: str, model: str, most: int | None = None, passing: PassingFaults | None = None):
        self.url, self.model = url, model
        self.chat_url = f"{url}/chat/completions"
        self.limit = InFlightLimit(most)
        self.passing = passing or PassingFaults()
        self.in_flight = 0
        self.beside = [self]  # the same URL under all of its models: they may share one queue
        self.answered, self.answered_at = 0, float("-inf")
        self.longest_s, self.quickest_s = 0.0, float("inf")  # the longest and shortest recent calls
        self.failing: dict[str, str] = {}  # requests that failed since the last answer: key -> kind of fault
        self.failing_since: float | None = None
        self.failed_at = 0.0
        self.unhealthy: str | None = None  # the reason
        self.outages = 0  # times it became unhealthy
        self.checking, self.checked_chat, self.checked_at = False, False, float("-inf")
        self.probe_s = FIRST_PROBE_S
        self.not_before = 0.0  # no calls before this time: set by HTTP 429
        self.refusals = 0  # waits after HTTP 429 without an answer in between

    @property
    def suspect(self) -> bool:
        """Whether so many different requests failed in a row that the server is probably at fault, not the requests."""
        return len(self.failing) >= SUSPECT

    @property
    def site_answered_at(self) -> float:
        """When this URL last answered a call to any of its models."""
        return max(server.answered_at for server in self.beside)

    def forget_failures(self) -> None:
        """An answer ends the row of failures."""
        self.failing.clear()
        self.failing_since, self.probe_s, self.refusals, self.checked_chat = None, FIRST_PROBE_S, 0, False

    def state(self) -> dict[str, Any]:
        """The server's entry in status.json and run.json."""
        return {
            "url": self.url,
            "model": self.model,
            "in_flight": self.in_flight,
            "limit": self.limit.value,
            "answered": self.answered,
            "unhealthy": self.unhealthy,
        }


@dataclass(eq=False)
class InFlightCall:
    """One attempt. It occupies a slot at `server` until it is released."""

    server: Server
    key: str  # of the request
    sent: float
    ahead: int = 0  # calls that were at the server when it was sent
    answered_before: int = 0  # the server's count then
    hangs: bool = False  # given up although the server answered calls that were sent later

    @property
    def others(self) -> int:
        """Calls that the server answered since this one was sent."""
        return self.server.answered - self.answered_before
