"""Turns the report's charts into SVG files with a legend. The colours are those of report.css, in a light and a dark
version."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gra.compare.report.charts import HEIGHT, LEFT, WIDTH, series

ROW = 18  # height of a line of the legend
STYLE = Markup(
    "<style>svg{background:#fff}text{font:12px sans-serif;fill:#57606a}.name{fill:#1b1f24}.marked{fill:#b3411e}"
    ".mark{stroke:#b3411e;stroke-dasharray:4 3}.grid{stroke:#e8ecf0}.axis{stroke:#8c959f}.frame{fill:none;stroke:#d8dee4}"
    ".map-all,.map-own{fill:none;stroke-linecap:round}.map-all{stroke:#bcc5ce;stroke-width:2.6}"
    ".map-own{stroke:currentColor;stroke-width:3.4;stroke-opacity:.75}[class^=series-]{stroke:currentColor}"
    ".series-0{color:#0072b2}.series-1{color:#d55e00}.series-2{color:#009e73}.series-3{color:#b8578f}"
    ".series-4{color:#3f9fd6}.series-5{color:#c98500}.series-6{color:#444}"
    "@media (prefers-color-scheme:dark){svg{background:#12161b}text{fill:#a3adb8}.name{fill:#e6e9ec}.marked{fill:#f08a6a}"
    ".mark{stroke:#f08a6a}.grid{stroke:#262d35}.axis{stroke:#6b7580}.map-all{stroke:#3d4752}.frame{stroke:#343c45}"
    ".series-0{color:#6cb8f0}.series-1{color:#f08c4a}.series-2{color:#3cc79b}.series-3{color:#e08bb8}"
    ".series-4{color:#a6d8f5}.series-5{color:#f0b840}.series-6{color:#c8c8c8}}</style>"
)


def opened(width: int, height: int) -> Markup:
    """Return the beginning of an SVG file: the opening tag and the style. `width` and `height` are in pixels."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
    return Markup(head).format(w=width, h=height) + STYLE


def chart_file(chart: Markup, names: Sequence[str], title: str) -> str:
    """Return an SVG file with a chart, a title and a legend. `chart`: a chart that charts.py drew. `names`: the names
    of the chart's lines, for the legend."""
    high = ROW * (len(names) + 1) + 8
    parts = [
        opened(WIDTH, high + HEIGHT),
        Markup('<text x="{}" y="{}" class="name">{}</text>').format(LEFT, ROW - 4, title),
    ]
    for index, name in enumerate(names):
        y = ROW * (index + 2) - 8
        line = '<g class="{}"><line x1="{}" x2="{}" y1="{}" y2="{}" stroke-width="3"/></g><text x="{}" y="{}">{}</text>'
        parts.append(Markup(line).format(series(index), LEFT, LEFT + 20, y, y, LEFT + 28, y + 4, name))
    place = f'<svg y="{high}" width="{WIDTH}" height="{HEIGHT}" '
    placed = Markup(
        str(chart).replace("<svg ", place, 1)
    )  # as plain text: Markup's own replace would escape the new part
    return str(Markup("").join([*parts, placed, Markup("</svg>")])) + "\n"
