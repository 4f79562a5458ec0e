r"""PURE: writes a table of text cells in LaTeX (booktabs).

gra compare experiment=NAME --format latex
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.compare.tables.notes import plain

PACKAGE = r"% needs \usepackage{booktabs}"
_CODE = re.compile(r"`([^`]+)`")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",  # as text these signs need a font encoding other than the default
    ">": "$>$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def table(
    headings: Sequence[str],
    lines: Sequence[Sequence[str]],
    words: int = 1,
    title: str = "",
    notes: Sequence[str] = (),
    name: str = "",
) -> str:
    r"""Return headings and lines as a LaTeX table, without a newline at the end. The LaTeX document needs
    \usepackage{booktabs}.

    `words`: the number of columns at the left that contain text. They are aligned left, the other columns right.
    `name`: the last part of the label (tab:gra-NAME). Without a title, the table has neither caption nor label.
    """
    places = range(len(headings))
    heads = [escape(cell) for cell in headings]
    rows = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        *([rf"\caption{{{_prose(title)}}}"] if title else []),
        *([rf"\label{{tab:gra-{name}}}"] if title and name else []),
        rf"\begin{{tabular}}{{{''.join('l' if place < words else 'r' for place in places)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *(" & ".join(_shielded(escape(cell)) for cell in line) + r" \\" for line in lines),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {_prose(note)}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(rows)


def escape(text: str) -> str:
    """Return `text` on one line with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(sign, sign) for sign in plain(text)).replace("±", r"\textpm{}")


def _prose(text: str) -> str:
    r"""A title or note: escaped, with `words` in backticks set in \texttt."""
    parts = _CODE.split(plain(text))
    return "".join(rf"\texttt{{{escape(one)}}}" if n % 2 else escape(one) for n, one in enumerate(parts))


def _shielded(cell: str) -> str:
    r"""The cell, with `{}` before a leading `[` or `*`, which LaTeX would read as an option of the `\\` before the
    cell."""
    return f"{{}}{cell}" if cell.startswith(("[", "*")) else cell
