"""PURE: reads replies by OpenCompass's rules for the paper's ten benchmarks, for `gra rescore --reading opencompass`.

The rules are re-implemented from OpenCompass's public behaviour (open-compass/opencompass,
`opencompass/utils/text_postprocessors.py` and `opencompass/datasets`, as of August 2026), so that scores can be compared with
OpenCompass's under the same reading:

    letters   MMLU, HellaSwag, ARC: a long list of forms is tried in order ("答案是B", "ANSWER: B", "The answer is (B)", a
              letter at the end of the reply ...), and the first form found anywhere gives the letter. If no other form
              is found, the first capital that is an option's letter counts. GPQA: the first "ANSWER: B".
    gsm8k     the last number before the next "Question:". "1,200" counts as 1200; OpenCompass reads it as 200.
    math      the last box, else the first sentence with "final answer" or "answer is", else the first sentence;
              compared by math-verify, as in our reading
    bbh       letters: after the first "answer is ", the letter in brackets, else the first capital. Free answers: the
              rest of the line after the last "answer is", or the bold text there; if it begins with yes, no, true or
              false, only that word. Case and commas are ignored.
    humaneval the first code block, else the whole reply
    mbpp      the first of: [BEGIN] ... [DONE], a block of Python, any block, the reply up to a fence

Older versions of OpenCompass differ: in 2024 a letter between blanks took precedence over the first capital, and BBH's
free answers had to be exactly equal. Except for "1,200" in gsm8k, the rules here are not more lenient than
OpenCompass's, and they keep its errors: "Both A and B are right" is read as B, because the first capital is the B of
"Both".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.eval.scoring.phrases import boxed

_FIRST_ANSWER = re.compile(r"answer\s*:\s*([A-D])", re.IGNORECASE)
_NUMBERS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|-?\d+\.\d+|-?\d+")
_BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_PROGRAMS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\[?BEGIN\]?\s*'?(.*?)'?\s*\[?DONE\]?",
        r"```python\s*(.*)\s*```",
        r"```\s*(.*)\s*```",
        r"```python\s*(.*)\s*$",
        r"```\s*(.*)\s*$",
        r"(.*)\s*```.*",
        r"\[BEGIN\]\s*'?(.*)",
        r"'(.*)'\s*\[DONE\]",
    )
)


def letter(reply: str, options: str) -> str | None:
    """Return the letter of the option that a reply states; None if no letter of `options` ("ABCD") is found.

    OpenCompass's patterns for such statements are tried in a fixed order. The first one that finds a letter of
    `options` decides. Only capital letters count.
    """
    text = reply.strip()
    for form in _forms(options):
        found = form.search(text)
        if found is None:
            continue
        part = next(filter(None, found.groups()), found[0])
        named = [sign for sign in options if sign in part]
        if named:
            return named[0]
    return None


def asked_letter(reply: str) -> str | None:
    """Return the first letter that follows "ANSWER:" in the reply, with its case unchanged; None if there is none.

    OpenCompass compares the letter with a capital letter, so a lower-case letter counts as wrong.
    """
    found = _FIRST_ANSWER.search(reply)
    return found[1] if found else None


def number(reply: str) -> str | None:
    """Return the last number before the next "Question:"; None if there is none."""
    found = _NUMBERS.findall(reply.split("Question:")[0])
    return found[-1].replace(",", "") if found else None


def expression(reply: str) -> str | None:
    """Return the expression that a reply to an item of MATH states; None if there is no expression.

    If the reply has a LaTeX box, the expression is the content of the last box. Otherwise it is the end of the first
    sentence that announces an answer. If no sentence announces one, it is the first sentence of the reply. If the text
    taken from the sentence has formulas, only the last of these formulas is returned.
    """
    inside = boxed(reply)
    if inside is not None:
        return re.sub(r"\A\{(.*)\}\Z", r"\1", inside)
    parts = reply.split(".")
    sentence = next((part for part in parts if re.search("final answer|answer is", part, re.IGNORECASE)), parts[0])
    after = re.split(r"answer\s*is\s*:?", sentence, flags=re.IGNORECASE)[-1]
    formulas = re.findall(r"\$(.*?)\$", after)
    return (formulas[-1] if formulas else after).strip(" \n\t$:*") or None


def option(reply: str) -> str | None:
    """Return the letter of a reply to BBH; None if there is none."""
    rest = _rest(reply)
    found = re.search(r"\(([A-Z])\)*", rest) or re.search(r"([A-Z])", rest)
    return found[1] if found else None


def free(reply: str) -> str:
    """Return the answer of a reply to an item of BBH that has no options to choose from.

    The caller applies this function to the right answer, too, and ignores case when it compares the two.
    """
    line = re.split(r"answer is\s*:?\s*", reply, flags=re.IGNORECASE)[-1].strip().split("\n")[0].strip()
    line = line.removesuffix(".").strip()
    strong = re.search(r"\*\*(.*?)\*\*", line)
    line = strong[1].strip() if strong else line
    word = re.match(r"(?:yes|no|true|false)\b", line, re.IGNORECASE)
    if word:
        return word[0].capitalize()
    line = line if re.search(r"\d\s*,\s*\d", line) else re.sub(r"\s*,\s*", " ", line)
    return " ".join(line.split())


def humaneval(reply: str) -> str | None:
    """Return the first closed code block, or else the whole reply; None if it is blank."""
    found = _BLOCK.search(reply)
    return (found[1] if found else reply).lstrip() or None


def mbpp(reply: str) -> str | None:
    """Return the program by MBPP's rules; None if it is blank."""
    found = next((match for form in _PROGRAMS if (match := form.search(reply))), None)
    text = (found[1] if found else reply).split("```")[0]
    return re.split(r"'?\s*\[?DONE\]?", text)[0].replace("\\_", "_").strip() or None


def _rest(reply: str) -> str:
    """Return the text between the first and the second "answer is "; the whole text if it has no "answer is "."""
    parts = reply.split("answer is ")
    return parts[1].strip() if len(parts) > 1 else reply


def _forms(options: str) -> Sequence[re.Pattern[str]]:
    """Return the forms of a letter in the order in which they are tried."""
    one = f"([{options}])"
    chinese = [
        rf"答案是?\s*[：:]?\s*{one}",
        rf"答案选项应?该?[是为]\s*{one}",
        rf"答案应该?[是选]\s*{one}",
        rf"答案选项[为是]?\s*[：:]\s*{one}",
        rf"答案选项为?\s+\(?\*?\*?{one}",
        rf"答案[为选]\s*{one}",
        rf"选择?\s*{one}",
        rf"只有选?项?\s?{one}\s?(?:是?[对错]|"
        rf"不?正确|错误)",
        rf"说法(?:不?对|不?正确|错误)选?项?的?是\s?{one}",
        rf"{one}\s?是正确",
        rf"选项\s?{one}\s?正确",
        rf"所以答\s?{one}",
        rf"所[以有]\s?{one}[.。$]?$",
        rf"[\s，：:,]{one}[。，,.]?$",
        rf"[\s，,：:][故即]{one}[。.]?$",
        rf"[\s，,：:]因此{one}[。.]?$",
        rf"[是为。]\s?{one}[。.]?$",
        rf"(?:因此|显然)\s?{one}[。.]?$",
    ]
    english = [
        rf"(?i:ANSWER\s*:\s*{one})",
        rf"[Tt]he answer is:?\s+\(?(?:\*\*)?{one}",
        rf"[Tt]he answer is option:?\s+\(?{one}",
        rf"[Tt]he correct answer is:?\s+\(?{one}",
        rf"[Tt]he correct answer is option:?\s+\(?{one}",
        rf"[Tt]he correct (?:answer|option|answer option) is:?.*?boxed{{{one}}}",
        rf"[Tt]he answer to the question is:?\s+\(?{one}",
        rf"^选项\s?{one}",
        rf"^{one}\s?选?项",
        rf"^{one}[\s。，,：:.$]",
        r"1.\s?(.*?)$",
        rf"{one}:",
        one,
    ]
    return [re.compile(form, re.DOTALL) for form in (*chinese, *english)]
