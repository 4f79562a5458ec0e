r"""PURE: reads the answer to an item of BIG-Bench Hard tolerantly, by the form of the right answer:

    (B)                        an option's letter: the rules of multiple_choice.py; the options are listed in the question
    12                         a number: the rules of number.py
    yes / no, True / False, valid / invalid ("not valid" is invalid)
        boxed                  the word in the last \boxed{...}
        stated                 the first of the two words after the last "answer is", "Answer:" ...; an "answer is" without
                               either word after it is skipped
        bold                   the word in bold, if all words in bold agree
        begins                 a reply that begins with the word and punctuation
        last                   the word in the last sentence that has one of the two words; "not True" does not count as
                               True. Yes and no have to be the sentence's first word, come after "is", or be set off by
                               punctuation. True and False have to come after the last "=" or "evaluates to", if there
                               is one. If the sentence has both words, its last clause decides if it concludes with one
                               of them ("... so it is True").
        asked                  yes and no: the last clause, if it uses the question's words ("not plausible" means no)
    ] ) }                      brackets, with any text between them; brackets repeated from the question are removed
        boxed                  the brackets in the last box
        stated                 the brackets after the last "answer is", "Answer:" ... with brackets in the same line
        marked                 the last brackets in bold, in backticks or in quotes
        last                   the brackets at the end of the last line
    barn damp dot              a sorted list of the question's words; joining words and numbering are skipped
        stated                 the list after the last "sorted", "answer is", "Answer:" ... with a complete list after it
        last                   the last n of the question's words in the reply, where n is the number of words to sort

The rules from `bold` on (words) or `marked` on (brackets) do not apply to a reply that declines to answer. The right
answers of three faulty items have another form: a reply has to state such an answer in full after "answer is".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.eval.scoring import multiple_choice, number
from gra.eval.scoring.phrases import (
    AMBIGUOUS,
    Found,
    bold,
    boxed,
    clause,
    conclusion,
    lines,
    refuses,
    sentences,
    settled,
    statements,
)

PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"))
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)
_BRACKETS = re.compile(r"[()\[\]{}<>](?:[\s,\"'`]{0,4}[()\[\]{}<>])*")
_ENDING = re.compile(r"(?<!\S)[\"'`$]?[()\[\]{}<>](?:[\s,\"'`$]{0,4}[()\[\]{}<>])*[\"'`$.]{0,3}$")
_MARKED = re.compile(r"\*\*([^*\n]{1,300})\*\*|`([^`\n]{1,300})`|\"([^\"\n]{1,300})\"")
_NOT_VALID = re.compile(r"\b(?:not|isn't|isn’t)\s{1,3}(?:deductively |logically |strictly )?valid\b", re.IGNORECASE)
_OTHER = re.compile(  # the word that is rejected in favour of the other: "False, not True", "False rather than True"
    r"(?:(?:[,;(]|[-–—]|\band\b|\bbut\b)\s{0,3}not|\brather than|\binstead of|\bas opposed to)[\s*`\"']{1,4}(?:yes|no|true|"
    r"false|valid|invalid)\b",
    re.IGNORECASE,
)
_BUT = re.compile(  # "not True but False"
    r"(?:\bnot|n['’]t)[\s*`\"']{1,4}(?:yes|no|true|false|valid|invalid)\b[\s*`\"',;.–—-]{1,6}"
    r"(?=(?:but|rather|instead|(?:it|this|that)(?:['’]s| is))\b)",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"=|→|⇒|\b(?:evaluat|simplif|reduc|resolv)\w+(?:[ \t]+down)?[ \t]+to\b|"
    r"\b(?:equals|equal to|yields|gives|returns|becomes)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*`{3,}\w*[ \t]*$", re.MULTILINE)
_SAID = (  # (pattern in the item's question, pattern that means yes, pattern that means no)
    (r"\bplausible\?", r"\bplausible\b", r"\b(?:im|not (?:\w+ )?|n['’]t (?:\w+ )?)plausible\b"),
    (
        r"\breturn to the starting point\?",
        r"\b(?:return|be|are|am|is|end up|back)\w*(?: back)? (?:to|at) (?:the|your|its|our) "
        r"(?:starting|original) (?:point|position)\b",
        r"\b(?:not|never|n['’]t)\b[^.\n]{0,30}\b(?:starting|original) (?:point|position)\b",
    ),
    (
        r"\btell the truth\?",
        r"\btell(?:s|ing)? the truth\b|\btruthful\b",
        r"\b(?:lies|lying|liar|untruthful)\b|(?:\bnot|n['’]t) (?:tell(?:ing)? the truth|truthful)\b",
    ),
)
_SO = re.compile(
    r"\b(?:so|thus|hence|therefore|result|evaluates?|gives?|equals?|finally|overall|becomes?|makes?|means?|"
    r"leaves?|conclusion|conclude)\b|→|⇒|=>",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"[,;:]\s+|\s+(?=(?:so|thus|hence|therefore|but|and|which)\b)", re.IGNORECASE)
_SORTED = re.compile(r"\b(?:sorted|alphabetical(?:ly)?)\b[^\n:]{0,80}(?::|\bis\b)", re.IGNORECASE)


def read(question: str, reply: str, gold: str) -> tuple[str | None, bool]:
    """Return the answer that `reply` gives to `question`, and whether this answer is right.

    `gold`: the right answer. Its type (such as a letter or a number) decides by which rules the answer is extracted.
    """
    gold = gold.strip()
    if re.fullmatch(r"\([A-Z]\)", gold):
        letter = multiple_choice.stated(reply, [text for _, text in _OPTION.findall(question)])
        return letter, letter == gold.strip("()")
    if re.fullmatch(r"[()\[\]{}<>\s]+", gold):
        closing = brackets(question, reply)
        return closing, closing == " ".join(gold.split())
    if re.fullmatch(r"-?[\d,.]+", gold):
        found = number.stated(reply)
        return found, found is not None and number.same(found, gold)
    pair = next((pair for pair in PAIRS if gold.casefold() in pair), None)
    if pair is not None:
        said = word(reply, pair) or (_predicate(question, reply) if pair[0] == "yes" else None)
        return said, said == gold.casefold()
    if question.lstrip().startswith("Sort "):
        order = sorting(reply, gold.split())
        return order, order == gold.casefold()
    said = next(
        (plain for rest in statements(conclusion(reply)) if (plain := clause(rest).strip(" *_\"'").casefold())), None
    )
    return said, said == gold.casefold()


def word(reply: str, pair: tuple[str, str]) -> str | None:
    """Return the word of `pair` that the reply states as its answer, in lower case; None if it states neither or both.

    `pair`: two words, such as yes and no.
    """
    text = conclusion(reply)
    found: Found = _only(_words(boxed(text) or "", pair))
    for rest in statements(text) if not found else ():
        said = _words(clause(rest), pair)
        either = re.search(rf"\b{pair[0]}\W{{1,4}}(?:or|and|/)\W{{1,4}}{pair[1]}\b", rest[:200], re.IGNORECASE)
        found = found or (AMBIGUOUS if either else said[0] if said else None)
    if not found and not refuses(text):
        found = _only([said for words in bold(text) for said in _words(words, pair)])
        begun = re.match(
            rf"\W{{0,4}}({pair[0]}|{pair[1]})\s{{0,3}}(?:[.,!:;*)]|$)", text.lstrip(), re.IGNORECASE | re.MULTILINE
        )
        found = found or (begun[1].casefold() if begun else None)
        for sentence in reversed(sentences(text)) if not found else ():
            said = _alone(sentence, pair)
            if said:
                found = _only(said) or _last_clause(sentence, pair) or AMBIGUOUS
                break
    return settled(found)


def _predicate(question: str, reply: str) -> str | None:
    """Return "yes" or "no" if the last sentence answers in the question's words ("The sentence is not plausible."), else None."""
    text = conclusion(reply)
    last = next(iter(sentences(text)[::-1]), "")
    about = next((each for each in _SAID if re.search(each[0], question)), None)
    if about is None or refuses(text) or last.endswith("?") or re.search(r"\b(?:yes|no)\b", text, re.IGNORECASE):
        return None
    person = re.search(r"\bDoes (\w+) tell the truth\?", question)
    for part in reversed(_CLAUSES.split(last[-2000:])):
        if person is not None:  # skip statements about others and statements by this person
            named, _, part = part.rpartition(person[1])
            if (not named and not part) or re.search(r"\b(?:says?|said|claims?|that)\b", part):
                continue
        for said, pattern in (("no", about[2]), ("yes", about[1])):
            if re.search(pattern, part, re.IGNORECASE):
                return said
    return None


def brackets(question: str, reply: str) -> str | None:
    """Return the brackets with which the reply completes the question's brackets, separated by single spaces.

    Return None if the reply has no such brackets.
    """
    text = _FENCE.sub("", conclusion(reply)).rstrip()
    opened = _runs(question)[-1:] or [""]
    found = next(iter(_runs(boxed(text) or "")), "")
    for rest in statements(text):
        found = found or next(iter(_runs(rest.split("\n", 1)[0])), "")
    if not found and not refuses(text):
        marked = [
            runs[-1] for match in _MARKED.finditer(text) if (runs := _runs(next(filter(None, match.groups()), "")))
        ]
        end = _ENDING.search((lines(text) or [""])[-1][-300:])
        found = marked[-1] if marked else "".join(_runs(end[0])) if end else ""
    return " ".join(found.removeprefix(opened[0]) if found != opened[0] else found) or None


def sorting(reply: str, words: Sequence[str]) -> str | None:
    """Return `words` in the order in which the reply lists them, in lower case.

    Return None if the reply's list is shorter than `words`.
    """
    text = conclusion(reply).casefold()
    known = {entry.casefold() for entry in words}
    token = re.compile(
        "|".join(rf"(?<!\w){re.escape(entry)}(?!\w)" for entry in sorted(known, key=lambda w: (-len(w), w)))
    )
    after = statements(text) + [text[match.end() :] for match in _SORTED.finditer(text)][:-9:-1]
    for rest in after:
        found = token.findall(rest)[: len(words)]
        if len(found) == len(words):
            return " ".join(found)
    found = token.findall(text)[-len(words) :]
    return " ".join(found) if len(found) == len(words) else None


def _words(text: str, pair: tuple[str, str]) -> list[str]:
    if pair[0] == "valid":
        text = _NOT_VALID.sub("invalid", text)
    text = _OTHER.sub(" ", _BUT.sub(" ", text))
    return [found.casefold() for found in re.findall(rf"\b(?:{pair[0]}|{pair[1]})\b", text, re.IGNORECASE)]


def _last_clause(sentence: str, pair: tuple[str, str]) -> str | None:
    """Return the word in the last clause of a sentence if that clause draws a conclusion, else None."""
    last = _CLAUSES.split(sentence[-2000:])[-1]
    return _only(_words(last, pair)) if _SO.search(last) else None


def _alone(sentence: str, pair: tuple[str, str]) -> list[str]:
    """Return the words of `pair` that the sentence gives as an answer, not as part of other text."""
    if pair[0] == "true":
        said = _REASON.split(sentence)[0] if _words(_REASON.split(sentence)[0], pair) else sentence
        return next((found for part in reversed(_RESULT.split(said)) if (found := _words(part, pair))), [])
    if pair[0] == "yes":
        either = (
            rf"(?:^|[,:;=\-]|\b(?:is|be|say)\b)[\s*\"'(]{{0,4}}({pair[0]}|{pair[1]})(?=[\s*\"')]{{0,4}}(?:[.,;:!]|$))"
        )
        return [found.casefold() for found in re.findall(either, sentence, re.IGNORECASE)]
    return _words(sentence, pair)


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(set(found)) == 1 else None


def _runs(text: str) -> list[str]:
    """Return the runs of brackets in a text, without the text between the brackets."""
    return [re.sub(r"[^()\[\]{}<>]", "", run) for run in _BRACKETS.findall(text)]
