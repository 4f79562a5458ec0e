"""PURE: finds tasks that refer to a text or to data that they do not contain ("Solve the following equations.").

Small models imitate the form of a seed's task but leave out this text or these data (the material), so nobody can do
the task. A task passes if it contains anything that could be the material: a number, a quotation, code, a colon, a
second line, or a sentence that does not refer to material. Of Alpaca's 52,002 records, 18 are refused; 17 of these
indeed lack their material.
"""

from __future__ import annotations

import re

_MATERIAL = (
    r"(?:sentences?|texts?|passages?|paragraphs?|numbers?|equations?|lists?|words?|poems?|articles?|code|(?:code )?snippets?"
    r"|functions?|programs?|tables?|data|data ?sets?|phrases?|statements?|expressions?|arrays?|story|stories|dialogues?"
    r"|conversations?|quotes?|excerpts?|verbs|nouns|adjectives|options|choices|items|events|images?|pictures?|graphs?|charts?"
    r"|diagrams?|figures|reviews?|documents?|fractions|integers|values|shapes|strings?)"
)
_REFERS = re.compile(
    rf"\b(?:the following|th(?:is|ese)(?: (?:two|three|four|five|following))?) (?:[a-z-]+ ){{0,2}}?{_MATERIAL}\b"
    rf"|\bthe {_MATERIAL} (?:below|above)\b|\b(?:which|one|any|each|all) of the following\b",
    re.IGNORECASE,
)
_HELD = re.compile(r"[:\n\"“”`'‘’(){}\[\]=<>|/\\\d]|__|[-–—] |\bor\b")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
# A reference after more words may mean the beginning of its own sentence ("takes two integers and adds these numbers").
_BEFORE = 6


def missing_material(text: str) -> str | None:
    """Return the words with which the task refers to a text or data that it does not contain ("the article below").
    Return None if the task refers to nothing of this kind, or if it possibly contains what it refers to. Only English
    is recognised."""
    found = None if _HELD.search(text.strip()) else [_REFERS.search(one) for one in _SENTENCE.split(text.strip())]
    if found is None or not all(found):
        return None
    first = found[0]
    assert first is not None
    return first[0] if len(text.strip()[: first.start()].split()) <= _BEFORE else None
