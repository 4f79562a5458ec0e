"""PURE: finds slots that a response leaves for the reader to fill in, such as "[Your Name]".

Large models leave such slots too, for example when they draft a letter (1 of 200 outputs of Alpaca has one). So a slot
is a fault only with synthesis.slots=refuse.
"""

from __future__ import annotations

import re

_NOUNS = (
    "name|date|day|time|address|city|state|country|phone|number|e-?mail|title|position|signature|company|organi[sz]ation|school|"
    "department|product|service|website|link|url|amount|price|location|event|topic|reason|recipient|sender|customer|client|"
    "employee|manager|friend|person|job|role|subject|item|place"
)
_SLOT = re.compile(
    r"[\[<{](?:(?:your|my|insert|enter|add|fill in|specify|recipient|sender|receiver)\b[^\]>}\n]{0,40}"
    rf"|(?:[\w'’.-]+ ){{0,4}}(?:{_NOUNS})s?(?: (?:here|of [\w ]{{1,20}}))?)[\]>}}](?!\()",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"[\[<{]|template|place-?holder|fill[- ]?in|\bform\b|\bblanks?\b|\bslots?\b|mad libs?", re.IGNORECASE
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def unfilled_slot(response: str, instruction: str) -> str | None:
    """Return the first slot in the response: a placeholder that the reader has to fill in, such as "[Your Name]". Slots
    in code are ignored. Return None if there is no slot, or if the instruction asks for slots."""
    if _WANTED.search(instruction):
        return None
    for found in _SLOT.finditer(_CODE.sub(" ", response)):
        if " " in found[0] or not found[0].startswith("<"):  # <title> is a tag
            return found[0]
    return None
