"""PURE: decides whether a response lacks the code that its instruction asks for."""

from __future__ import annotations

import re

# "Write a Python function `count_digits(num)` ...": a request to write code, with the call in backticks
_ASKS = re.compile(
    r"\b(?:write|create|implement|define|develop) (?:me )?(?:an? |the |some )?"
    r"(?:(?!(?:of|for|about|on|in|to|that|what|how|why|when|where|which|who|if|whether|not)\b)[\w+#-]+ ){0,3}?"
    r"(?:function|method|class|program|script|code)\b[^.?!\n]{0,30}?`\w+\([^`]*\)`",
    re.IGNORECASE,
)
# a definition, a block, an assignment, a comparison or a statement, in any language
_CODE = re.compile(
    r"```|\b(?:def|lambda|class|return|func|fn|function|proc|sub|print|import|for|while)\b\s*\W?\w|[={};]|=>|:-"
)


def lacks_code(response: str, instruction: str) -> bool:
    """Return whether the instruction asks for a function, method, class or program, whose call it gives in backticks,
    and the response has nothing that looks like code. An example is "`count_digits(25)`" as the response to "Write a
    Python function `count_digits(num)` that counts digits."
    """
    return _ASKS.search(instruction) is not None and _CODE.search(response) is None
