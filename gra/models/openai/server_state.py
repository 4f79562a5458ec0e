"""Holds the state of one model at one server (`Server`), and of one call that is in flight to it (`InFlightCall`). The
queue and the health checks use both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gra.models.openai.in_flight_limit import InFlightLimit
from gra.models.openai.passing_faults import PassingFaults

SUSPECT = 3  # different requests that failed in a row make a server suspect
FIRST_PROBE_S = 1.0  # seconds before the first probe of an unhealthy server


class Server:
    """One model at one base URL. All times are readings of the event loop's clock, in seconds."""

    def __init__(self, url: str, model: str, most: int | None = None, passing: PassingFaults | None = None):
        self.url, self.model = url, model
        self.chat_url = f"{url}/chat/completions"
        self.limit = InFlightLimit(most)
        self.passing = passing or PassingFaults()
        self.in_flight = 0
        self.beside = [self]  # the servers at the same URL, one per model: they may share one queue
        self.answered, self.answered_at = 0, float("-inf")
        self.longest_s, self.quickest_s = 0.0, float("inf")  # the longest and shortest recent calls
        self.failing: dict[str, str] = {}  # requests that failed since the last answer: request key -> kind of fault
        self.failing_since: float | None = None
        self.failed_at = 0.0
        self.unhealthy: str | None = None  # the reason
        self.outages = 0  # how often it became unhealthy
        self.retired = False  # it gets no calls any more, for good
        self.checking, self.checked_chat, self.checked_at = False, False, float("-inf")
        self.probe_s = FIRST_PROBE_S
        self.not_before = 0.0  # no calls before this time: set by HTTP 429
        self.refusals = 0  # waits after HTTP 429 without an answer in between

    @property
    def suspect(self) -> bool:
        """Whether the server itself is probably at fault, because several (`SUSPECT`) different requests in a row
        failed."""
        return len(self.failing) >= SUSPECT

    @property
    def site_answered_at(self) -> float:
        """The time when this URL last answered a call to any of its models."""
        return max(server.answered_at for server in self.beside)

    def forget_failures(self) -> None:
        """Reset the record of failures. Called when the server has answered a call."""
        self.failing.clear()
        self.failing_since, self.probe_s, self.refusals, self.checked_chat = None, FIRST_PROBE_S, 0, False

    def state(self) -> dict[str, Any]:
        """Return the server's entry in status.json and run.json."""
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
    """One attempt to send a request to `server`. It occupies a slot of the server until it is released."""

    server: Server
    key: str  # the request's key
    sent: float
    ahead: int = 0  # calls that were at the server when this one was sent
    answered_before: int = 0  # number of calls that the server had answered by then
    hangs: bool = False  # given up while the server answered calls that were sent later

    @property
    def others(self) -> int:
        """The number of calls that the server has answered since this call was sent."""
        return self.server.answered - self.answered_before
