"""PURE: writes the numbers of a map as a table and in words, for a terminal, a file or the report."""

from __future__ import annotations

from typing import Any

from gra.compare.coverage.measure import Coverage
from gra.compare.tables.numbers import count, span

HEADINGS = ("Set", "Clusters covered, %", "Samples", "Distinct instructions", "On the map")


def lines(found: Coverage) -> list[tuple[str, ...]]:
    """Return one table row for each set on the map. The cells of a row are in the order of HEADINGS."""
    return [
        (one.name, span(one.share), count(one.samples), count(one.distinct), count(len(one.points)))
        for one in found.sets
    ]


def method(found: Coverage) -> str:
    """Return sentences that say how the numbers were computed and what they do not show."""
    said = "One t-SNE projection of the instructions of all sets. Near points are alike; distances across the map mean little."
    if found.few:
        said += (
            f" Too few distinct instructions to draw: {', '.join(f'{name} ({n})' for name, n in found.few.items())}."
        )
    if not found.size:
        return said
    return (
        f"{said} Clusters covered: k-means cuts the embeddings, not the map, into {found.clusters} clusters; the figure is the "
        f"share of them in which a set has a sample, for {found.size:,} samples of each set, with a 95 % bootstrap interval. "
        "The clusters are those of the sets shown, so figures of other maps do not compare. "
        "A set that covers more is more varied, not better."
    )


def data(found: Coverage) -> dict[str, Any]:
    """Return all numbers of the map except the points, as values for JSON."""
    return {
        "seed": found.seed,
        "samples_of_each": found.size,
        "clusters": found.clusters,
        "too_few": found.few,
        "sets": {
            one.name: {
                "samples": one.samples,
                "distinct": one.distinct,
                "drawn": len(one.points),
                "covered": one.share and one.share.value,
                "low": one.share and one.share.low,
                "high": one.share and one.share.high,
            }
            for one in found.sets
        },
    }


def csv_text(found: Coverage) -> str:
    """Return the points of the map as CSV, with the columns set, id (of the sample), x and y."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["set", "id", "x", "y"])
    for one in found.sets:
        writer.writerows([one.name, sample, f"{x:.4f}", f"{y:.4f}"] for sample, x, y in one.points)
    return text.getvalue()
