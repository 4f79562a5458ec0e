"""PURE: how many calls a server may have at once, learned from how it answers: slow start, then AIMD, as TCP does it.

Slow start doubles the limit in the time of one call until the first sign of overload, so that a fast server is at full load
after two or three calls' time. Then additive increase: one call more in the time of one call. A sign of overload (HTTP 429, or
a call that has not been answered within its time limit) halves the limit, once for all calls that were sent before.

Latency by itself is not a sign. A server that batches (vLLM, SGLang) answers more slowly the more it is asked, and gets more
done: limits that follow the latency, as TCP Vegas or Netflix's gradient limits do, would throttle it. A queue in the server
costs nothing until a call's time limit is near, and this is where the limit stops it from growing.

Sources: RFC 5681 (slow start, congestion avoidance); D.-M. Chiu and R. Jain, Analysis of the increase and decrease algorithms
for congestion avoidance in computer networks, 1989.
"""

from __future__ import annotations

START = 16  # calls at a server of which nothing is known yet
_DECREASE = 0.5


class InFlightLimit:
    """The limit of one server, at most `most` (None: no bound of its own)."""

    def __init__(self, most: int | None = None, start: int = START):
        self._most = float("inf") if most is None else float(most)
        self._value = min(float(start), self._most)
        self._slow_start = True
        self._decreased_at = float("-inf")

    @property
    def value(self) -> int:
        """Calls that may be in flight now; at least 1."""
        return int(self._value)

    def answered(self, in_flight: int) -> None:
        """A call was answered while `in_flight` calls, itself included, were at the server. Where the limit was not reached
        nothing is known of a higher one."""
        if in_flight >= self.value:
            self._value = min(self._value + (1.0 if self._slow_start else 1.0 / self._value), self._most)

    def overloaded(self, sent: float, now: float) -> bool:
        """A call that was `sent` then shows at `now` that the server has too many. Returns whether the limit fell: it does
        not where the call was sent before the last decrease, which could not have helped it yet."""
        if sent < self._decreased_at:
            return False
        before = self.value
        self._value = max(min(self._value, self._most) * _DECREASE, 1.0)
        self._slow_start, self._decreased_at = False, now
        return self.value < before

    def restart(self) -> None:
        """The server was down: one call first, then slow start."""
        self._value, self._slow_start = 1.0, True
