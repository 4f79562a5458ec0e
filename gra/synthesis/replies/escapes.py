r"""PURE: repairs JSON strings with backslashes that were not doubled: `{"instruction": "$\frac{3}{4} \times 12$"}`.

\b \f \n \r \t are legal JSON escapes, so JSON reads \frac as a form feed and "rac", and \times as a tab and "imes".
Guided decoding does not prevent this. The repair works on the raw text of the reply, where single and doubled
backslashes still differ. If the letters after a single backslash can only be a LaTeX command, the backslash is doubled
("restored"). Other letters are ambiguous: `\nu` can be a LaTeX command, or a line end before the letter u. Within a
formula, the backslash before such letters is doubled; elsewhere, the line end or tab is kept. If neither reading is
clearly more probable, the text stays as it is and is reported as unsure. Correctly escaped text never changes: if LaTeX
commands in a string have two backslashes, a single backslash before ambiguous letters counts as a line end or tab.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gra.synthesis.replies.latex_names import BRACED, COMMANDS, DOUBTFUL, NO_WORDS, SURE

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]*")
_DOUBLED = re.compile(r"(?<!\\)(?:\\\\)([A-Za-z]+)")
_SINGLE = re.compile(r"(?<!\\)(?:\\\\)*\\([A-Za-z]+|[()\[\]])")
_REGEX = re.compile(r"\\[wWdDsSB]|\\b.*\\b|[\[(]\S*\\b|\\b[\[(]|(?i:regex)|\bre\.", re.DOTALL)
_PATH = re.compile(r"(?<![A-Za-z])[A-Za-z]:(?:\\{1,2}[\w.() -]+)+")
# Two kinds of formulas: an inline formula ($ as pandoc reads it, \( \)) contains no line ends, a display formula can.
_INLINE = re.compile(
    r"(?<![\\$])\$(?![\s$])[^$]{0,300}?(?<![\s$\\])(?<!\\[nt])\$(?![\d$])|\\{1,2}\(.{0,300}?\\{1,2}\)", re.DOTALL
)
_DISPLAY = re.compile(
    r"\$\$.{0,2000}?\$\$|\\{1,2}\[.{0,2000}?\\{1,2}\]|\\{1,2}begin\{.{0,2000}?\\{1,2}end\{", re.DOTALL
)
_IN_SENTENCE = re.compile(r" [A-Za-z]|[,;)]")
_LOST = re.compile(r"([\x08\x0c\r\t\n])([A-Za-z]+)(\{?)")
_LETTER = {"\x08": "b", "\x0c": "f", "\r": "r", "\t": "t", "\n": "n"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Repaired(NamedTuple):
    """The result of `repaired`. `text`: the repaired JSON text. `restored`: the number of backslashes that were
    doubled. `unsure`: the text around the first escape that has two possible meanings, or None if there is none."""

    text: str
    restored: int = 0
    unsure: str | None = None


def repaired(text: str) -> Repaired:
    """Return `text` with single backslashes doubled where JSON would misread them. The model meant a backslash there,
    but JSON would read an escape such as a tab. `text`: JSON, with or without prose around it."""
    if "\\" not in text:
        return Repaired(text)
    parts: list[str] = []
    restored, unsure, place = 0, None, 0
    for string in _STRING.finditer(text, max(text.find("{"), 0)):
        if "\\" not in string[1]:
            continue
        body = _Body(string[1])
        parts += [text[place : string.start(1)], body.read()]
        place = string.end(1)
        restored += body.restored
        unsure = unsure or body.unsure
    return Repaired("".join([*parts, text[place:]]), restored, unsure)


def damaged(value: str) -> str | None:
    """Return the text around the first sign that the decoded text `value` lost a backslash. Return None if there is no
    sign. A control character that a text should not have is a sign. A tab or line end is also a sign if the letters
    after it show that it replaced the backslash and first letter of a LaTeX command."""
    if value.isprintable():  # no control character at all
        return None
    if (control := _CONTROL.search(value)) is not None:
        return repr(value[max(control.start() - 10, 0) : control.end() + 10])
    for found in _LOST.finditer(value):
        name = _LETTER[found[1]] + found[2]
        if name in SURE or (found[3] and name in BRACED):
            return repr(value[max(found.start() - 10, 0) : found.end() + 10])
    return None


class _Body:
    """The raw content of one JSON string."""

    def __init__(self, raw: str):
        self._raw = raw
        self.restored = 0
        self.unsure: str | None = None
        self._doubled = any(name in COMMANDS for name in _DOUBLED.findall(raw))
        single = [name for name in _SINGLE.findall(raw) if name[0] not in '"\\/']
        self._single = any(not name.isalpha() or (name in COMMANDS and not _can_be_text(name)) for name in single)
        self._inline = [found.span() for found in _INLINE.finditer(raw)]
        self._display = [found.span() for found in _DISPLAY.finditer(raw)]
        self._paths = [found.span() for found in _PATH.finditer(raw) if _is_path(found[0])]

    def read(self) -> str:
        """Return the content of the JSON string. Each single backslash that the model meant as a backslash is
        doubled."""
        return _ESCAPE.sub(self._one, self._raw)

    def _one(self, escape: re.Match[str]) -> str:
        sign, place = escape[1], escape.start()
        if sign == "\\":
            return self._backslash(escape)
        if sign in '"/' or len(sign) == 5:
            return escape[0]
        if sign == "'":  # not a JSON escape: an apostrophe, or before a brace a LaTeX accent
            return escape[0] if self._raw[escape.end() : escape.end() + 1] == "{" else "'"
        if sign not in "bfnrt":
            return "\\" + escape[0]
        if _within(place, self._paths):
            return self._restore(escape)
        name = sign + self._letters(escape.end())
        after = self._raw[place + 1 + len(name) : place + 2 + len(name)]
        if name in SURE or (name in BRACED and after == "{"):
            return self._restore(escape)
        if sign == "b":  # texts contain no backspaces
            return self._restore(escape) if name in DOUBTFUL or _REGEX.search(self._raw) else self._doubt(escape)
        if sign == "f" or (sign == "r" and len(name) > 1):
            return self._doubt(escape)
        return self._perhaps(escape, name) if name in DOUBTFUL else escape[0]

    def _perhaps(self, escape: re.Match[str], name: str) -> str:
        """Return the escape `\\n`, `\\r` or `\\t`, with its backslash doubled if it belongs to a LaTeX command. `name`:
        the letters after the backslash. They are the name of a command. But the escape can also be a line end or tab
        before a word, which then consists of these letters without the first one."""
        place = escape.start()
        before, after = self._raw[:place], self._raw[place + 1 + len(name) :]
        if self._doubled:
            return escape[0]
        if _within(place, self._inline):
            return self._restore(escape)
        if _within(place, self._display):
            return self._restore(escape) if self._single and before.endswith(tuple(" {(=_^,")) else self._doubt(escape)
        dollars = "$" in before and "$" in after  # perhaps a formula with spaces that pandoc does not allow
        if dollars and (self._single or before.endswith("$")):
            return self._doubt(escape)
        if not before.endswith(" ") or before.endswith("  ") or after.lstrip().startswith("="):
            return escape[0]  # probably a real line end or tab, which rarely follows a single space
        if name in NO_WORDS:
            return self._restore(escape)
        return self._doubt(escape) if self._single or dollars or _IN_SENTENCE.match(after) else escape[0]

    def _backslash(self, escape: re.Match[str]) -> str:
        r"""Return an escaped backslash, `\\`. Usually it stays as it is. But in a display formula whose commands have
        single backslashes, it is LaTeX's end of a row; then both backslashes are doubled."""
        if not self._single or not _within(escape.start(), self._display) or self._letters(escape.end()) in COMMANDS:
            return escape[0]
        if (
            self._raw[escape.end() : escape.end() + 2] == "\\\\"
            or self._raw[max(escape.start() - 2, 0) : escape.start()] == "\\\\"
        ):
            return escape[0]
        return self._doubt(escape) if self._doubled else self._restore(escape, 2)

    def _letters(self, place: int) -> str:
        found = _LETTERS.match(self._raw, place)
        return found[0] if found else ""

    def _restore(self, escape: re.Match[str], times: int = 1) -> str:
        self.restored += 1
        return "\\" * times + escape[0]

    def _doubt(self, escape: re.Match[str]) -> str:
        self.unsure = self.unsure or self._raw[max(escape.start() - 12, 0) : escape.end() + 12]
        return escape[0]


def _can_be_text(name: str) -> bool:
    """Return whether a backslash and this name can also be a real line end or tab followed by a word."""
    return name[0] in "nt" and name in DOUBTFUL


def _is_path(text: str) -> bool:
    r"""Return whether raw text like `C:\temp\new.txt` is a Windows path with single backslashes, not a line end after "Q:"."""
    steps = re.findall(r"\\{1,2}[\w.() -]+", text)
    single = not any(step.startswith("\\\\") for step in steps)
    return (
        single
        and len(steps) > 1
        and (any(step[1] not in "bfnrtu" for step in steps) or bool(re.search(r"\.\w{2,4}\s*$", text)))
    )


def _within(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)
