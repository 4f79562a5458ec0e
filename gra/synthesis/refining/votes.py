"""PURE: chooses among responses by self-consistency (Wang et al. 2022, arXiv 2203.11171): the most frequent final
answer wins.

A final answer follows "answer is", "answer:" or "####", or is in \\boxed{...}. If a response has several of these, the
last one counts. A response without a final answer does not vote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_MARKS = re.compile(
    r"\\boxed\s*\{(?P<boxed>(?:[^{}]|\{[^{}]*\})*)\}"
    r"|\banswer(?:\s+is\s*:?|\s*:)\s*(?P<said>.+?)(?=[.!?](?:\s|$)|\n|$)"
    r"|####\s*(?P<hashes>[^\n]+)",
    re.IGNORECASE,
)
_LONGEST = 200  # maximum characters of an answer that is compared
_AROUND = " \t*_\"'`$"


def final_answer(response: str) -> str | None:
    """Return the final answer of a response, normalised for comparison. It is in lower case. Quotes, dollar signs,
    commas within numbers and a full stop at the end are removed. Return None if the response states no final answer."""
    found = list(_MARKS.finditer(response))
    if not found:
        return None
    text = next(group for group in found[-1].groups() if group is not None)
    text = " ".join(text.strip(_AROUND).rstrip(".").strip(_AROUND).split()).casefold()
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return text if 0 < len(text) <= _LONGEST else None


def vote(responses: Sequence[str]) -> tuple[int, float | None]:
    """Return the index of the first response with the most frequent final answer, and the proportion of the responses
    with a final answer that have this one. If several answers are equally frequent, the one that occurs first wins. If
    no response has a final answer, return 0 and None."""
    answers = [final_answer(response) for response in responses]
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return 0, None
    chosen, most = counts.most_common(1)[0]  # most_common keeps equal counts in the order of the responses
    return answers.index(chosen), most / counts.total()
