"""PURE: decides when to give up a call that has exceeded its timeout.

The timeout (runtime.timeout_s + timeout_per_token_s x max_tokens) covers the server's work on a call, but an overloaded
server queues calls first. Giving up a call wastes the server's work, so GRA keeps waiting while answers to other calls
show that the server works. It gives up the call in two cases:
- Many calls that were sent later were answered: the call hangs, not the server.
- The server has been silent for too long. The limit is the timeout or twice the duration of the longest recent call,
  whichever is longer, but never more than 8 (`LONGEST`) times the timeout. While the server answers calls to its other
  models, the limit is 8 times the timeout.
"""

from __future__ import annotations

LONGEST = 8.0  # the effective timeout follows observed latencies up to this multiple of the configured one
SOON_S = 1e-3  # tolerance: a timer can fire slightly early
# Unit: the number of calls in flight. After so many later answers, even a server that takes calls in random order would
# have taken the call.
OVERTAKEN = 8.0


def overtaken(others: int, ahead: int, in_flight: int) -> bool:
    """Return whether the server has answered so many other calls that it must have reached this call in its queue.

    `others`: the number of calls that the server answered after this call was sent. `ahead`: the number of calls that
    were at the server when this call was sent. `in_flight`: the number of calls that are at the server now.
    """
    return others - ahead >= OVERTAKEN * max(in_flight, 1)


def queued(others: int, ahead: int, limit_s: float, quickest_s: float) -> bool:
    """Return whether a call that exceeded its timeout probably spent this time in the server's queue. If so, the server
    has too many calls at once.

    Two conditions must hold. First, the server has not answered any call that was sent later. A server that works on
    all its calls at once would have answered some. Second, the fastest recent call took less than half of the timeout,
    or the server has not answered any call yet.

    `others` and `ahead`: as in `overtaken`. `limit_s`: the timeout. `quickest_s`: the duration of the fastest recent
    call, or inf if there is none.
    """
    return others <= ahead and (quickest_s < limit_s / 2 or quickest_s == float("inf"))


def verdict(
    waited: float, silent: float, limit_s: float, longest_s: float, hangs: bool, site: float | None = None
) -> float | str:
    """Return how many more seconds to wait for a call. If the call must be given up, return the reason as text.

    `waited`: seconds since the call was sent. `silent`: seconds without any answer from this model while the call was
    waiting. `limit_s`: the timeout. `longest_s`: the duration of the longest recent call. `hangs`: whether the server
    answers other calls but not this one. `site`: seconds without any answer from any model at the same URL. The models
    at one URL may share a queue. None means that the URL has only this model.
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
