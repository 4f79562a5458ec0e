"""PURE: how the canned server words its replies, and what an honest reader makes of each wording: the table of cases.

A row: its class, the reply, and strict, tolerant, extraction: whether the reply holds the right answer in the form that the prompt
asks for, whether it holds it at all, and whether it holds any answer in that form. Written by hand from the prompts, not from what
the code says. {gold} is the right answer, {wrong} a wrong one, {text} the right option's text, {every} all options or two answers.

    asked    the form that was asked for, nothing else
    thought  the same at the end of a chain of thought
    other    the right answer, not in that form
    none     no answer
    wrong    a wrong answer in the form asked for; wrong_other: in another form
    every    several answers, none of them chosen
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

MODES = {  # what a model of this name says: classes of wordings
    "mixed": ("asked", "thought", "other", "none", "wrong", "wrong_other", "every"),
    "asked": ("asked", "thought"),
    "unasked": ("other",),
}


@dataclass(frozen=True)
class Wording:
    kind: str
    reply: str
    strict: int
    tolerant: int
    extraction: int

    @property
    def says(self) -> str | None:
        """Which answer a reader finds in it: "gold", "wrong" or none."""
        return (
            "gold" if self.tolerant else "wrong" if "{wrong}" in self.reply and self.kind.startswith("wrong") else None
        )


_LETTER = [  # HellaSwag asks for the letter, MMLU and GPQA for a last line "ANSWER: X"; all three take either
    ("asked", "ANSWER: {gold}", 1, 1, 1),
    ("asked", "{gold}", 1, 1, 1),
    ("asked", "**{gold}**", 1, 1, 1),  # marks of emphasis do not count as words
    ("asked", "{gold}. {text}", 1, 1, 1),
    (
        "thought",
        "Let us go through them one by one. Two of them can be ruled out at once, the third on a second look.\n\n"
        "ANSWER: {gold}",
        1,
        1,
        1,
    ),
    (
        "thought",
        "**Step 1.** At first {wrong} looks right, but it is not.\n**Step 2.** It has to be another.\n\n"
        "**ANSWER: {gold}**",
        1,
        1,
        1,
    ),
    ("other", "I'd go with ({gold}).", 0, 1, 0),
    ("other", "The answer is {gold}, because none of the others fits.", 0, 1, 0),
    ("other", "We weigh them up.\n\nThe correct option is **{gold}**.", 0, 1, 0),
    ("other", "After some thought: \\boxed{{{gold}}}", 0, 1, 0),
    ("other", "{wrong} is tempting. Still, the best answer is {gold}.", 0, 1, 0),
    ("other", "It must be: {text}", 0, 1, 0),
    ("none", "I am not sure.", 0, 0, 0),
    ("none", "This is a hard question, and a matter of taste.", 0, 0, 0),
    ("wrong", "ANSWER: {wrong}", 0, 0, 1),
    ("wrong", "We think it over.\n\nANSWER: {wrong}", 0, 0, 1),
    ("wrong_other", "The answer is {wrong}.", 0, 0, 0),
    ("every", "{every}", 0, 0, 0),
    ("every", "The options are:\n{every}\n\nAny of them may be right.", 0, 0, 0),
    ("every", "The answer is {gold} or {wrong}.", 0, 0, 0),
]
_ARC = [  # the turn is begun with "The best answer is"; a reply ends at a full stop or a blank line
    ("asked", " {gold}.", 1, 1, 1),
    ("asked", " {gold}", 1, 1, 1),
    ("asked", " **{gold}**.\n\nThe others do not fit.", 1, 1, 1),
    ("asked", " ({gold}).", 1, 1, 1),
    ("other", " option {gold}.", 0, 1, 0),
    ("other", " {gold}, as the others do not fit.", 0, 1, 0),
    ("other", " found by a look at the others, which do not fit, so the best answer is {gold}.", 0, 1, 0),
    ("none", " not one that I am sure of.", 0, 0, 0),
    ("none", " hard to find.\n\nBut after a second look, the best answer is {gold}.", 0, 0, 0),  # cut before it is said
    ("wrong", " {wrong}.", 0, 0, 1),
    ("wrong_other", " {wrong}, as the others do not fit.", 0, 0, 0),
    ("every", " {gold} or {wrong}.", 0, 0, 0),
]
_NUMBER = [  # the examples end in "#### 18"
    ("asked", "#### {gold}", 1, 1, 1),
    ("thought", "{solution}", 1, 1, 1),
    ("thought", "We have 3 steps.\n\nFirst, half of 2 is 1.\n\nThen we add it all up.\n#### {gold}\n", 1, 1, 1),
    ("other", "We add it all up. The answer is {gold}.", 0, 1, 0),
    ("other", "In 2 steps we get to **{gold}**.", 0, 1, 0),
    ("other", "**Final answer:**\n\n\\[\\boxed{{{gold}}}\\]", 0, 1, 0),
    ("other", "Of the 7 numbers given we need 2, and the total comes to ${gold}.00.", 0, 1, 0),
    ("other", "#### ${gold}", 0, 1, 0),  # the form has no currency
    ("other", "Answer: {gold} in all, not {wrong}.", 0, 1, 0),
    ("none", "I am not sure.", 0, 0, 0),
    ("none", "I cannot say: the {gold} in the question does not help.", 0, 0, 0),
    ("wrong", "#### {wrong}", 0, 0, 1),
    ("wrong", "Well, {gold} minus nothing is more.\n#### {wrong}", 0, 0, 1),
    ("wrong_other", "The answer is {wrong}.", 0, 0, 0),
    ("every", "The answer is {gold} or {wrong}.", 0, 0, 0),
    ("every", "It is either {wrong} or {gold}.", 0, 0, 0),
]
_MATH = [  # "put your final answer within \\boxed{}"
    ("asked", "\\boxed{{{gold}}}", 1, 1, 1),
    ("asked", "$\\boxed{{{gold}}}$", 1, 1, 1),
    ("thought", "{solution}", 1, 1, 1),
    ("thought", "First $1+1=2$. It is not \\boxed{{{wrong}}}.\n\nHence\n\\[\\boxed{{{gold}}}.\\]", 1, 1, 1),
    ("other", "The answer is ${gold}$.", 0, 1, 0),
    ("other", "**Final answer:** ${gold}$", 0, 1, 0),
    ("other", "We get $1+1=2$, and so, after all,\n\\[{gold}\\]", 0, 1, 0),
    ("other", "So the final answer is \\({gold}\\), not ${wrong}$.", 0, 1, 0),
    ("none", "I am not sure.", 0, 0, 0),
    ("wrong", "\\boxed{{{wrong}}}", 0, 0, 1),
    ("wrong_other", "The answer is ${wrong}$.", 0, 0, 0),
    ("every", "It is ${gold}$ or ${wrong}$.", 0, 0, 0),
]
_BBH = [  # the examples end in "So the answer is X."
    ("asked", "So the answer is {gold}.", 1, 1, 1),
    ("asked", "the answer is {gold}.", 1, 1, 1),
    ("thought", "We look at it step by step. The first step is easy. So the answer is {gold}.", 1, 1, 1),
    (
        "thought",
        "We look at it step by step.\n\nQuite so: the first step is easy.\n\nSo the answer is {gold}.",
        1,
        1,
        1,
    ),
    ("other", "Answer: {gold}", 0, 1, 0),
    ("other", "We look at it step by step.\nThe correct answer is: {gold}", 0, 1, 0),
    ("other", "**Final answer:** {gold}", 0, 1, 0),
    ("other", "We look at it step by step, and end with **{gold}**", 0, 1, 0),
    ("none", "I am not sure.", 0, 0, 0),
    ("wrong", "So the answer is {wrong}.", 0, 0, 1),
    ("wrong_other", "Answer: {wrong}", 0, 0, 0),
    ("every", "{every}", 0, 0, 0),
]
_HUMANEVAL = [  # "Reply with the whole function, imports included, in one code block"
    ("asked", "```python\n{code}\n```", 1, 1, 1),
    ("asked", "{code}", 1, 1, 1),  # nothing but the code
    (
        "thought",
        "We go step by step.\n\n1. Look at it.\n2. Write it down.\n\n```python\n{code}\n```\n\nIt passes.",
        1,
        1,
        1,
    ),
    ("other", "Here is the function:\n\n{code}\n\nThat should do it.", 0, 1, 0),
    ("other", "```java\n{code}\n```", 0, 1, 0),  # a block of another language
    ("other", "{body}", 0, 1, 0),  # what follows the head that was shown
    ("none", "I am not sure.", 0, 0, 0),
    ("wrong", "```python\ndef {name}(*given, **named):\n    return object()\n```", 0, 0, 1),
    ("wrong_other", "Here it is:\n\ndef {name}(*given, **named):\n    return object()\n\nThat should do it.", 0, 0, 0),
    ("every", "One could loop, or recurse, or sort first.", 0, 0, 0),
]
_IFEVAL = [  # judged by the checks themselves: no numbers here
    ("asked", "{made}", -1, -1, 1),
    ("asked", "{made}", -1, -1, 1),
    ("other", "Sure!\n{made}", -1, -1, 1),
    ("other", "**{made}**", -1, -1, 1),
    ("none", "I am not sure.", -1, -1, 1),
    ("none", " \n", 0, 0, 0),
]
TABLE: dict[str, list[Wording]] = {
    kind: [Wording(*row) for row in rows]
    for kind, rows in {
        "letter": _LETTER,
        "arc": _ARC,
        "number": _NUMBER,
        "math": _MATH,
        "bbh": _BBH,
        "humaneval": _HUMANEVAL,
        "mbpp": [row for row in _HUMANEVAL if "{body}" not in row[1]],
        "ifeval": _IFEVAL,
    }.items()
}


def chosen(kind: str, values: Mapping[str, str], key: str, mode: str) -> Wording:
    """The wording of an item, by the hash of `key`, of those that can be filled in with `values`."""
    fitting = [w for w in TABLE[kind] if w.kind in MODES[mode] and not ("{text}" in w.reply and "text" not in values)]
    return fitting[int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % len(fitting)]
