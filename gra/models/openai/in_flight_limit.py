"""PURE: adapts a server's limit of calls in flight to its answers: slow start, then AIMD, as in TCP.

Slow start doubles the limit per call duration until the first sign of overload: a fast server reaches full load after two or
three call durations. Then additive increase: one more call per call duration. A sign of overload (HTTP 429, or a call that is not
answered within its timeout) halves the limit, once for all calls sent before.

Latency alone is not a sign. A batching server (vLLM, SGLang) has higher latency and higher throughput under load; limits that
follow latency, like TCP Vegas or Netflix's gradient limits, would throttle it. A queue in the server costs nothing until calls
approach their timeout, and there the limit stops its growth.

Sources: RFC 5681 (slow start, congestion avoidance); D.-M. Chiu and R. Jain, Analysis of the increase and decrease algorithms
for congestion avoidance in computer networks, 1989.
"""

from __future__ import annotations

START = 16  # calls at a server about which nothing is known yet
_DECREASE = 0.5


class InFlightLimit:
    """The limit of one server, at most `most` (None: unbounded)."""

    def __init__(self, most: int | None = None, start: int = START):
        self._most = float("inf") if most is None else float(most)
        self._value = min(float(start), self._most)
        self._slow_start = True
        self._decreased_at = float("-inf")

    @property
    def value(self) -> int:
        """The current limit; at least 1."""
        return int(self._value)

    def answered(self, in_flight: int) -> None:
        """A call was answered while `in_flight` calls, itself included, were at the server. The limit grows only if it was
        reached: otherwise nothing is known about a higher one."""
        if in_flight >= self.value:
            self._value = min(self._value + (1.0 if self._slow_start else 1.0 / self._value), self._most)

    def overloaded(self, sent: float, now: float) -> bool:
        """A call sent at `sent` shows at `now` that the server is overloaded. Returns whether the limit fell; it does not if the
        call was sent before the last decrease, which could not help it."""
        if sent < self._decreased_at:
            return False
        before = self.value
        self._value = max(min(self._value, self._most) * _DECREASE, 1.0)
        self._slow_start, self._decreased_at = False, now
        return self.value < before

    def restart(self) -> None:
        """The server was down: one call first, then slow start."""
        self._value, self._slow_start = 1.0, True
