"""PURE: two-sided quantiles of the normal and Student's t distributions, and Wilson's interval, without scipy.
Importing scipy is slow, and a synthesis does not need it otherwise.

Student's t quantile: Newton's method on the distribution function. The distribution function is an incomplete beta
function, computed with Lentz's continued fraction (Abramowitz and Stegun 1964, 26.5.8 and 26.7.1; Thompson and Barnett
1986, Journal of Computational Physics 64).
"""

from __future__ import annotations

import math
from statistics import NormalDist

_MANY = 1e4  # from this many degrees of freedom on, the expansion about the normal quantile is exact to nine digits
_TINY = 1e-300


def normal(level: float) -> float:
    """Return the number z with P(|Z| <= z) = level for a standard normal Z. For the level 0.95, z is 1.96."""
    return NormalDist().inv_cdf((1 + level) / 2)


def student(level: float, df: float) -> float:
    """Return the number t with P(|T| <= t) = level, where T has Student's t distribution.

    `df`: the degrees of freedom, a number above 0. It may be a fraction or infinite. Raises ValueError for a level
    outside (0, 1) or df <= 0.
    """
    if not 0 < level < 1 or not df > 0:
        raise ValueError(f"level {level}, {df} degrees of freedom: the level must be between 0 and 1, df above 0")
    z = normal(level)
    near = z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)  # Cornish and Fisher
    if df >= _MANY:
        return near
    low, high = 0.0, max(z, 1.0)
    while outside(high, df) > 1 - level:
        low, high = high, 2 * high
    t = near if low < near < high else (low + high) / 2
    scale = 2 * math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    for _ in range(200):
        gap = outside(t, df) - (1 - level)
        low, high = (t, high) if gap > 0 else (low, t)
        step = gap / (scale * (1 + t * t / df) ** (-(df + 1) / 2))
        last, t = t, t + step if low < t + step < high else (low + high) / 2
        if abs(t - last) <= 1e-14 * t:
            break
    return t


def wilson(value: float, n: float, z: float) -> tuple[float, float]:
    """Return the two ends of Wilson's score interval for a proportion (Wilson 1927, JASA 22). `value`: the observed
    proportion. `n`: the number of observations. `z`: the normal quantile, e.g. 1.96."""
    centre = (value + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(max(0.0, value * (1 - value)) / n + z * z / (4 * n * n))
    # At proportions 0 and 1 a bound is exactly 0 or 1; floating-point sums miss it by the last bits.
    return (0.0 if value <= 0 else max(0.0, centre - reach)), (1.0 if value >= 1 else min(1.0, centre + reach))


def outside(t: float, df: float) -> float:
    """Return P(|T| > t) for t >= 0, where T has Student's t distribution with `df` degrees of freedom."""
    return _beta(df / (df + t * t), t * t / (df + t * t), df / 2, 0.5)


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b). `rest` is 1 - x, passed separately because the
    subtraction would lose digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    log_x = math.log(x) if x < 0.5 else math.log1p(-rest)
    factor = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * log_x + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return factor * _fraction(x, a, b) / a
    return 1 - factor * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    found = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 + term * d, 1 + term / c
            d, c = 1 / (d if abs(d) > _TINY else _TINY), c if abs(c) > _TINY else _TINY
            found *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return found
