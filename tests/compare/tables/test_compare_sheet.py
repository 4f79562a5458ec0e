"""One table in every form: what is written is read back the same, whatever the cells hold."""

from __future__ import annotations

import csv
import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker

from gra.compare.tables import latex
from gra.compare.tables.sheet import Sheet, render

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
CELLS = st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=4)


def tabular(text: str) -> LatexEnvironmentNode:
    """The tabular of a table, as a parser sees it; it fails on unbalanced braces and environments."""
    nodes, *_ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    (table,) = [node for node in nodes if isinstance(node, LatexEnvironmentNode)]
    (found,) = [node for node in table.nodelist if isinstance(node, LatexEnvironmentNode)]
    return found


def plain_text(cell: str) -> str:
    """A cell as a reader sees it; the parser shows TeX's text signs ^ and ~ as their raised forms."""
    return LatexNodes2Text(strict_latex_spaces=True).latex_to_text(cell.strip()).translate({0x2C6: "^", 0x2DC: "~"})


@given(CELLS)
@settings(max_examples=60, deadline=None)
def test_latex_keeps_the_cells(lines: list[list[str]]) -> None:
    text = render([Sheet("50 % of a_b & more", ("Arm", "x_1", "50 %"), lines, ("note #1",))], "latex")
    found = tabular(text)
    body = found.latex_verbatim().split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [row for row in re.split(r"\\\\\n", body) if row.strip()]
    assert len(rows) == len(lines)
    for row, cells in zip(rows, lines, strict=True):
        read = [plain_text(cell) for cell in re.split(r"(?<!\\)&", row)]
        assert len(read) == 3
        plain = [
            cell for cell in cells if cell.isascii() and not re.search(r"--|``|''|[`'?!]", cell)
        ]  # TeX's own ligatures
        for cell in plain:
            assert cell in read
    first, _, rest = text.partition("\n")
    assert first == r"% needs \usepackage{booktabs}"
    assert r"\usepackage" not in rest, "the document's business"
    assert {r"\toprule", r"\midrule", r"\bottomrule"} <= set(re.findall(r"\\\w+rule", text))


def test_latex_sets_words_in_backticks_as_code() -> None:
    sheet = Sheet(
        "By `a_b`", ("Arm", "x"), [["`cell`", "1"]], ("Run `gra rescore --x`: 5 % of `b", "plain"), name="some"
    )
    text = render([sheet], "latex")
    assert "\\caption{By \\texttt{a\\_b}}\n\\label{tab:gra-some}\n" in text
    assert r"Run \texttt{gra rescore --x}: 5 \% of `b" in text
    assert "`cell` & 1" in text, "a cell is data"
    assert "label" not in render([Sheet("", ("Arm", "x"), [["a", "1"]], name="some")], "latex"), "it has no caption"


@given(st.text(max_size=40))
def test_latex_has_no_bare_special_character(text: str) -> None:
    left = re.sub(r"\\(text\w+\{\}|[&%$#_{}])|\$[<>]\$", "", latex.escape(text))
    assert not re.search(r"[\\&%$#_{}~^<>\n]", left)


@given(CELLS)
@settings(max_examples=40, deadline=None)
def test_csv_and_markdown_keep_the_cells(lines: list[list[str]]) -> None:
    sheet = Sheet("t", ("Arm", "a", "b"), lines)
    read = list(csv.reader(io.StringIO(render([sheet], "csv"), newline="")))
    assert read == [["Arm", "a", "b"], *lines]
    rows = [line for line in render([sheet], "markdown").splitlines() if line.startswith("| ")]
    assert len(rows) == len(lines) + 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)


@given(CELLS, st.integers(60, 130))
@settings(max_examples=30, deadline=None)
def test_a_terminal_gets_every_cell_within_its_width(lines: list[list[str]], width: int) -> None:
    ascii_lines = [[cell.encode("ascii", "replace").decode() for cell in line] for line in lines]
    wide = [[*line, *["+12.3 [+10.1, +14.5]"] * 5] for line in ascii_lines]
    sheet = Sheet("t", ("Arm", "a", "b", *(f"Difference {n}" for n in range(5))), wide, words=1)
    text = render([sheet], "terminal", width)
    assert all(len(line) <= width for line in text.splitlines())
    assert text.count("+12.3 [+10.1, +14.5]") == 5 * len(lines)


def test_csv_has_values_where_the_cells_are_rounded() -> None:
    sheet = Sheet(
        "t", ("Arm", "Score"), [["a", "33.3"]], records=[{"arm": "a", "score": 1 / 3, "n": None, "simulated": True}]
    )
    assert render([sheet, sheet], "csv") == f"arm,score,n,simulated\na,{1 / 3!r},-,true\n"
