"""PURE: decides when to give up a call that has exceeded its timeout.

The timeout (runtime.timeout_s + timeout_per_token_s x max_tokens) covers the server's work on a call, but an overloaded
server queues calls first. Giving up a call wastes the server's work, so the call is kept while the server works. Answers to
other calls show that it works. The call is given up in two cases:
- Many calls that were sent later were answered: the call hangs, not the server.
- The server has been silent for the timeout, or for twice the duration of the longest recent call if this is longer (at
  most LONGEST timeouts). If the server answers calls to its other models, the limit for this model is LONGEST timeouts.
"""

from __future__ import annotations

LONGEST = 8.0  # the effective timeout follows observed latencies up to this multiple of the configured one
SOON_S = 1e-3  # tolerance: a timer can fire slightly early
# Unit: the number of calls in flight. After so many later answers, even a server that takes calls in random order would
# have taken the call.
OVERTAKEN = 8.0


def overtaken(others: int, ahead: int, in_flight: int) -> bool:
    """Return whether the server has answered so many calls that it must have reached this call in its queue. `others`:
    calls answered since this call was sent; `ahead`: calls at the server when it was sent; `in_flight`: calls at the
    server now."""
    return others - ahead >= OVERTAKEN * max(in_flight, 1)


def queued(others: int, ahead: int, limit_s: float, quickest_s: float) -> bool:
    """Return whether a late call waited in the server's queue. If it did, the server has too many calls at once.

    The call waited if two conditions hold. No call that was sent later was answered before it: a server that works on
    all its calls at once would have answered some. And the fastest call took less than half of the timeout, or no call
    was answered yet. `quickest_s`: duration of the fastest call; inf if there is none.
    """
    return others <= ahead and (quickest_s < limit_s / 2 or quickest_s == float("inf"))


def verdict(
    waited: float, silent: float, limit_s: float, longest_s: float, hangs: bool, site: float | None = None
) -> float | str:
    """Return how many more seconds to wait, or the reason why the call is given up.

    `waited`: seconds since the call was sent. `silent`: seconds without any answer from this model while the call was
    waiting. `site`: seconds without any answer from any model of the same server, because its models may share a queue
    (None: it has no other models). `limit_s`: the timeout; `longest_s`: duration of the longest recent call; `hangs`:
    whether the server answers other calls but not this one.
    """
    if waited < limit_s - SOON_S:
        return limit_s - waited
    allowed, most = min(max(limit_s, 2 * longest_s), LONGEST * limit_s), LONGEST * limit_s
    site = silent if site is None else site
    if hangs and waited >= allowed - SOON_S:
        return f"no reply within {waited:.0f} s, while many calls that were sent later were answered"
    if silent >= allowed - SOON_S and (site >= allowed - SOON_S or silent >= most - SOON_S):
        return f"no reply within {waited:.0f} s, and the server answered no other call for {silent:.0f} s"
    rest = allowed - silent if silent < allowed - SOON_S else min(allowed - site, most - silent)
    return max(rest, limit_s / 16, SOON_S)
