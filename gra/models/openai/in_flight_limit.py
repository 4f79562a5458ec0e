"""PURE: adapts the limit of calls in flight at a server to the server's answers, as TCP adapts its window.

In slow start, the limit doubles once per call duration until the first sign of overload, so a fast server reaches full
load after two or three call durations. Then the limit grows by one call per call duration. A sign of overload (HTTP
429, or a call that is not answered within its timeout) halves the limit. Calls sent before this decrease cannot halve
it again.

Latency alone is not a sign of overload. A batching server (vLLM, SGLang) has higher latency and higher throughput under
load; limits that follow latency, like TCP Vegas or Netflix's gradient limits, would throttle it. A queue in the server
does no harm until calls exceed their timeout, and such a call lowers the limit.

Sources: RFC 5681 (slow start, congestion avoidance); D.-M. Chiu and R. Jain, Analysis of the increase and decrease
algorithms for congestion avoidance in computer networks, 1989.
"""

from __future__ import annotations

START = 16  # calls in flight at a server before anything is known about it
_DECREASE = 0.5


class InFlightLimit:
    """The limit on calls in flight at one server, adapted to the server's answers. It never exceeds `most`. If `most`
    is None, it has no upper bound."""

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
        """Record that a call was answered while `in_flight` calls, including itself, were at the server. The limit
        grows only if `in_flight` reaches it, because fewer calls do not show whether the server can handle more."""
        if in_flight >= self.value:
            self._value = min(self._value + (1.0 if self._slow_start else 1.0 / self._value), self._most)

    def overloaded(self, sent: float, now: float) -> bool:
        """Lower the limit, because a call showed that the server is overloaded. Return whether the limit fell.

        `sent`: the time at which the call was sent. If the call was sent before the last decrease, the limit stays the
        same, because the call says nothing about the present limit. `now`: the present time.
        """
        if sent < self._decreased_at:
            return False
        before = self.value
        self._value = max(min(self._value, self._most) * _DECREASE, 1.0)
        self._slow_start, self._decreased_at = False, now
        return self.value < before

    def restart(self) -> None:
        """Restart after an outage of the server: one call first, then slow start."""
        self._value, self._slow_start = 1.0, True
