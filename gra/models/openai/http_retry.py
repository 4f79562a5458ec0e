"""Computes the wait before a retry: exponential backoff, or the seconds in the server's retry-after header."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping

FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.25, 30.0

_jitter = random.Random()  # a separate generator, so that seeded draws elsewhere stay the same


def backoff(attempt: int, uniform: Callable[[float, float], float] = _jitter.uniform) -> float:
    """Return a random number of seconds to wait before retry number `attempt` (counted from 1). The longest possible
    wait doubles with each retry, up to LAST_BACKOFF_S. The shortest possible wait is half the longest.

    `uniform(low, high)`: a function that draws the number.
    """
    longest = min(FIRST_BACKOFF_S * 2 ** min(attempt - 1, 20), LAST_BACKOFF_S)
    return uniform(longest / 2, longest)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return how many seconds to wait according to the response header retry-after. Return None if there is no valid
    header.

    The header has a number or an HTTP date (RFC 9110 10.2.3). `now`: the current Unix time.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds == seconds else None  # None for NaN
