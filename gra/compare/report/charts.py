"""Draws small charts as inline SVG: histograms, cumulative distributions, learning curves, points with intervals.

No plotting library is needed, and the same numbers give the same bytes. `markupsafe.escape` is applied to all texts. A
chart is only 460 units wide, so that its text can be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from gra.compare.tables.numbers import short

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 14, 40
SERIES = 7  # number of colours for curves in report.css (for light and dark pages); more curves need DASHES
DASHES = ("", "6 3", "2 3")
KEPT, DROPPED = "fill-kept", "fill-dropped"  # classes of report.css
MAX_POINTS = 400  # per curve
Curve = Sequence[tuple[float, float]]


def histogram(
    kept: Sequence[float],
    dropped: Sequence[float],
    *,
    edges: Sequence[float],
    mark: float | None,
    mark_name: str,
    axis: str,
) -> Markup:
    """Draw a stacked histogram of samples. Each bin shows the number of kept samples and, above it, the number of
    dropped samples.

    `kept`, `dropped`: the values of the samples. `edges`: the edges of the bins. `mark`: the x position of a dashed
    line, such as the score at which samples are accepted. None means no line. `mark_name`: the text at this line.
    `axis`: the name of the x axis.
    """
    bins = len(edges) - 1
    low, high = _count(kept, edges), _count(dropped, edges)
    top = _ceiling(max(1, *(low[i] + high[i] for i in range(bins))))
    x0, x1 = edges[0], edges[-1]
    parts = [*_grid(0, top, counts=True), *_x_axis(x0, x1, axis)]
    for i in range(bins):
        left, right = _x(edges[i], x0, x1), _x(edges[i + 1], x0, x1)
        base: float = HEIGHT - BOTTOM
        for value, fill in ((low[i], KEPT), (high[i], DROPPED)):
            tall = (HEIGHT - TOP - BOTTOM) * value / top
            if value:
                base -= tall
                parts.append(
                    f'<rect x="{left + 0.5:.1f}" y="{base:.1f}" width="{right - left - 1:.1f}" height="{tall:.1f}" class="{fill}">'
                    f"<title>{edges[i]:g} to {edges[i + 1]:g}: {low[i]} kept, {high[i]} not kept</title></rect>"
                )
    return _svg([*parts, *_marked(mark, mark_name, x0, x1)], f"Histogram of {axis}")


def curves(named: Sequence[tuple[str, Curve]], *, axis: str, value: str) -> Markup:
    """Draw one line for each pair (name, points) in `named`. The lines get the colours of the page's palette in order.
    `axis`: what the x axis shows. `value`: what the y axis shows."""
    points = [point for _, curve in named for point in curve]
    x1 = max([1.0, *(x for x, _ in points)])
    values = [y for _, y in points] or [0.0, 1.0]
    margin = 0.05 * (max(values) - min(values)) or 0.5
    low, high = min(values) - margin, max(values) + margin
    parts = [*_grid(low, high, counts=False), *_x_axis(0, x1, axis)]
    for index, (name, curve) in enumerate(named):
        place = " ".join(f"{_x(x, 0, x1):.1f},{_y(y, low, high):.1f}" for x, y in thin(curve))
        dash = DASHES[index // SERIES % len(DASHES)]
        parts.append(
            f'<polyline points="{place}" fill="none" class="{series(index)}" stroke-width="1.8" stroke-dasharray="{dash}" '
            f'stroke-linejoin="round"><title>{escape(name)}</title></polyline>'
        )
    return _svg(parts, f"{value} by {axis}")


def cumulative(
    named: Sequence[tuple[str, Sequence[float]]],
    *,
    ends: tuple[float, float],
    mark: float | None,
    mark_name: str,
    axis: str,
) -> Markup:
    """Draw a cumulative distribution for each pair (name, ascending values) in `named`. It is a staircase whose height
    at x is the percentage of the values that are at most x.

    The first staircase is thicker and drawn over the others. `ends`: the ends of the x axis. `mark`: the x position of
    a dashed line. None means no line. `mark_name`: the text at this line.
    """
    low, high = ends
    parts = [*_grid(0, 100, counts=True), *_x_axis(low, high, axis), *_marked(mark, mark_name, low, high)]
    lines = []
    for index, (name, values) in enumerate(named):
        path = f"M{_x(low, low, high):.1f} {_y(0, 0, 100):.1f}"
        for place, value in enumerate(values, 1):
            if place == len(values) or values[place] != value:
                path += f"H{_x(min(max(value, low), high), low, high):.1f}V{_y(100 * place / len(values), 0, 100):.1f}"
        dash, width = DASHES[index // SERIES % len(DASHES)], 1.4 if index else 3
        lines.append(
            f'<path d="{path}H{_x(high, low, high):.1f}" fill="none" class="{series(index)}" stroke-width="{width}" '
            f'stroke-dasharray="{dash}"><title>{escape(name)}</title></path>'
        )
    return _svg([*parts, *reversed(lines)], f"Cumulative share of {axis}")


def scatter(points: Sequence[tuple[str, float, float, float, float]], *, axis: str, value: str) -> Markup:
    """Draw a point with an interval for each (name, x, y, low, high) in `points`. The point is at (x, y), and its
    interval is a vertical line from `low` to `high`."""
    x1 = 1.1 * max((x for _, x, *_ in points), default=1.0) or 1.0
    least, most = min((one[3] for one in points), default=0.0), max((one[4] for one in points), default=1.0)
    margin = 0.08 * (most - least) or 0.5
    low, high = least - margin, most + margin
    parts = [*_grid(low, high, counts=False), *_x_axis(0, x1, axis, short)]
    for index, (name, x, y, bottom, top) in enumerate(points):
        place = f"{_x(x, 0, x1):.1f}"
        parts.append(
            f'<g class="{series(index)}"><title>{escape(name)}</title>'
            f'<line x1="{place}" x2="{place}" y1="{_y(bottom, low, high):.1f}" y2="{_y(top, low, high):.1f}" stroke-width="2"/>'
            f'<circle class="point" cx="{place}" cy="{_y(y, low, high):.1f}" r="5"/></g>'
        )
    return _svg(parts, f"{value} by {axis}")


def series(index: int) -> str:
    """Return the CSS class that colours curve number `index`, counted from 0."""
    return f"series-{index % SERIES}"


def smooth(curve: Curve, window: int) -> list[tuple[float, float]]:
    """Return the centred moving average of a curve over `window` points, which must be an odd number. Points near the
    ends are left out, because their window is incomplete."""
    reach = window // 2
    return [
        (curve[i][0], sum(y for _, y in curve[i - reach : i + reach + 1]) / window)
        for i in range(reach, len(curve) - reach)
    ]


def thin(curve: Curve, limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most `limit` evenly spaced points of a curve, including the first and the last."""
    if len(curve) <= limit:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (limit - 1))] for i in range(limit)]


def _count(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """The number of values in each [edge, next edge); the last bin is closed, and values outside go to the outer bins."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = sum(value >= edge for edge in edges) - 1
        counts[min(max(place, 0), len(counts) - 1)] += 1
    return counts


def _svg(parts: Sequence[str], label: str) -> Markup:
    body = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{body}</svg>')


def _grid(low: float, high: float, *, counts: bool) -> list[str]:
    parts = []
    for tick in _ticks(low, high, 4, whole=counts):
        y = _y(tick, low, high)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return parts


def _marked(mark: float | None, name: str, low: float, high: float) -> list[str]:
    """A dashed line at `mark`, labelled `name`; [] if `mark` is None or not on the axis."""
    if mark is None or not low <= mark <= high:
        return []
    x = _x(mark, low, high)
    anchor, shift = ("end", -4) if x > WIDTH * 0.6 else ("start", 4)
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}" class="mark"/>',
        f'<text x="{x + shift:.1f}" y="{TOP}" text-anchor="{anchor}" class="marked">{escape(name)}</text>',
    ]


def _x_axis(low: float, high: float, name: str, word: Callable[[float], str] = "{:g}".format) -> list[str]:
    base = HEIGHT - BOTTOM
    parts = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" class="axis"/>']
    for tick in _ticks(low, high, 6):
        parts.append(f'<text x="{_x(tick, low, high):.1f}" y="{base + 15}" text-anchor="middle">{word(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle" class="name">{escape(name)}</text>')
    return parts


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)


def _step(span: float, about: int) -> float:
    """A round step (1, 2 or 5 times a power of ten) that cuts `span` into about `about` parts."""
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(m for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    step = _step(high - low, about)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _ceiling(value: float) -> float:
    step = max(1.0, _step(value, 4))
    return step * math.ceil(value / step)
