"""Draws a map as SVG with one panel for each set: the set's points in colour over the points of all sets in grey.

In one picture of all sets, the set drawn last would hide the others, and only colours would distinguish the sets.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gra.compare.coverage.measure import Coverage, Located
from gra.compare.report.charts import series
from gra.compare.report.svg_file import opened

SIZE, EDGE = 300, 8  # width and height of a panel, and its margin, in units of the view box
GAP, HEAD, ACROSS = 16, 26, 3  # standalone picture: space between panels, height of a panel's name, panels in a row


def panels(found: Coverage) -> list[tuple[str, Markup]]:
    """Return the name and the panel (an SVG element) of each data set on the map, for an HTML page.

    A panel shows the points of its set in colour, over the points of all sets in grey. Only the first panel contains
    the grey points. The other panels refer to them, so all panels must be on the same page.
    """
    backdrop = Markup('<g id="map-all">{}</g>').format(_dots(found.sets, "map-all"))
    shown = []
    for index, one in enumerate(found.sets):
        behind = backdrop if index == 0 else Markup('<use href="#map-all"/>')
        label = f"Map of {one.name}: {len(one.points):,} of {sum(len(s.points) for s in found.sets):,} points"
        head = Markup('<svg viewBox="0 0 {} {}" class="map" role="img" aria-label="{}">').format(SIZE, SIZE, label)
        shown.append((one.name, head + behind + _own(one, index) + Markup("</svg>")))
    return shown


def standalone(found: Coverage, note: str) -> str:
    """Return the text of an SVG file that shows the map, with one panel for each data set.

    The name of each set stands above its panel. The text `note` stands below all panels.
    """
    across = min(ACROSS, len(found.sets))
    down = -(-len(found.sets) // across)
    width, step = across * (SIZE + GAP) + GAP, SIZE + HEAD + GAP
    behind = Markup('<defs><g id="map-all">{}</g></defs>').format(_dots(found.sets, "map-all"))
    parts = [opened(width, down * step + GAP + HEAD) + behind]
    for index, one in enumerate(found.sets):
        x, y = GAP + index % across * (SIZE + GAP), HEAD + index // across * step
        name = Markup('<g transform="translate({} {})"><text x="2" y="-6" class="name">{}</text>').format(
            x, y, one.name
        )
        frame = Markup('<rect class="frame" width="{}" height="{}" rx="6"/><use href="#map-all"/>').format(SIZE, SIZE)
        parts.append(name + frame + _own(one, index) + Markup("</g>"))
    parts.append(Markup('<text x="{}" y="{}">{}</text></svg>').format(GAP, down * step + HEAD, note))
    return str(Markup("").join(parts)) + "\n"


def _own(one: Located, index: int) -> Markup:
    return Markup('<g class="{}">{}</g>').format(series(index), _dots([one], "map-own"))


def _dots(sets: Sequence[Located], kind: str) -> Markup:
    """Return one path with all points. A point is a line of length 0 with round ends, which takes a tenth of a circle's
    bytes."""
    span = SIZE - 2 * EDGE
    places = {
        (round(EDGE + span * x, 1), round(EDGE + span * (1 - y), 1)): None for one in sets for _, x, y in one.points
    }
    return Markup('<path class="{}" d="{}"/>').format(kind, "".join(f"M{x:g} {y:g}h0" for x, y in places))
