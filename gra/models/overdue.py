"""PURE: what becomes of a call that has not been answered within its time limit.

The limit (runtime.timeout_s + timeout_per_token_s x max_tokens) is meant for the time that a server works on a call; a server
that is asked for more than it can do at once lets calls wait first. A call that is given up is lost work there, so it is kept
while the server is at work, which shows in answers to others, and given up where
- calls that were sent after it were answered in great number: it hangs, not the server; or
- the server has answered nothing at all for as long as the limit, or twice the longest that a call took lately, if that is
  longer (at most LONGEST limits); or nothing of this model for LONGEST limits, whatever it did for its other models.
"""

from __future__ import annotations

LONGEST = 8.0  # the time limit follows the observed latencies up to so many times the configured one
SOON_S = 1e-3  # nothing is measured more finely: a timer may ring a little early
OVERTAKEN = 8.0  # times the calls in flight: even a server that takes waiting calls in random order takes this one sooner


def overtaken(others: int, ahead: int, in_flight: int) -> bool:
    """Whether calls sent later were answered in such number that this call's turn has surely come: `others` were answered since
    it was sent, when `ahead` were at the server; `in_flight` are there now."""
    return others - ahead >= OVERTAKEN * max(in_flight, 1)


def queued(others: int, ahead: int, limit_s: float, quickest_s: float) -> bool:
    """Whether a call that is late waited in the server's queue, so that fewer calls at once would be answered in time: no call
    that was sent later came first, as it does where all are worked on at once, and the quickest call, which took `quickest_s`, was
    far from the limit."""
    return others <= ahead and (quickest_s < limit_s / 2 or quickest_s == float("inf"))


def verdict(waited: float, silent: float, limit_s: float, longest_s: float, hangs: bool, site: float | None = None) -> float | str:
    """More seconds to wait, or why the call is given up. `silent`: seconds in which the server answered no call to this model while
    this one was there; `site`: the same of calls to any of its models, which may stand in one queue (None: it has no other);
    `longest_s`: the longest that a call took lately; `hangs`: it was overtaken."""
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
