"""The wait before the next attempt of a call that failed: by the number of attempts, or as the server asks."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping

FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.25, 30.0

_jitter = random.Random()  # of its own: no one else's seeded draws are disturbed


def backoff(attempt: int, uniform: Callable[[float, float], float] = _jitter.uniform) -> float:
    """Seconds to wait before attempt number `attempt` (1 = the first repetition): doubled each time, half of it jitter."""
    longest = min(FIRST_BACKOFF_S * 2 ** min(attempt - 1, 20), LAST_BACKOFF_S)
    return uniform(longest / 2, longest)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a retry-after header asks for (a number or an HTTP date, RFC 9110 10.2.3), or None. `now`: Unix time."""
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
    return max(seconds, 0.0) if seconds == seconds else None  # NaN is no time
