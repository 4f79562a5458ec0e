r"""PURE: classifies what a reply claims about the options that it mentions (mentions.py), and finds the reply's final option.

Each mention is a claim of one kind:

    denied     "not B", "B is wrong", "rule out B", "neither A nor B", "B is too early"; a line "B: false" of a list
    dropped    not claimed by the reply: a question, "although B looks tempting", "at first I thought B",
               "the second best is B"
    doubtful   "it might be B", "B, if ..."
    definite   "the answer is B", "I choose B", "it has to be B", "that leaves B", "so B", "B it is", \boxed{B}
    judged     "B is correct", "B fits best", "only B works"; a line "B: true" of a list
    alone      a clause that is only the letter
    mentioned  any other mention

A reply that corrects itself ("wait", "no,", "actually", "I meant" ...) is divided into parts at its corrections. The
last part with deciding claims counts. Within a part, the deciding claim is the last definite one, unless its option is
denied later. If there is none, the claims of the kind `judged` decide; if there are none of these either, the claims of
the kind `alone` decide. If the deciding claims name several options, there is no answer. If no part decides and all
options but one are denied, the remaining option is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gra.eval.scoring import claim_words as words
from gra.eval.scoring.mentions import ONE, OR, letters_of
from gra.eval.scoring.phrases import AMBIGUOUS, CHECKED, CORRECTED, Found

LONGEST = 8000  # characters at the end of a reply that are read: about two thousand tokens
DENIED, DROPPED, DOUBTFUL, DEFINITE, JUDGED, ALONE, MENTIONED = (
    "denied",
    "dropped",
    "doubtful",
    "definite",
    "judged",
    "alone",
    "mentioned",
)


@dataclass(frozen=True)
class Claim:
    """What a reply says about one or several options of a multiple-choice item.

    `at`: the claim's position in the text that `mentions.marked` returns for the reply.
    `options`: the indices of the options that the claim names.
    `kind`: the kind of the claim, such as "denied" or "definite" (see the table in the module's docstring).
    """

    at: int
    options: tuple[int, ...]
    kind: str


def claims(text: str) -> list[Claim]:
    """Return all claims of a marked text (`mentions.marked`), in order."""
    found, prose = _listed(text)
    if not found:
        found, prose = _in_line(text)
    for mark in words.WRONG_ONES.finditer(prose):
        found.append(Claim(mark.start("letters"), letters_of(mark["letters"]), DENIED))
        prose = prose[: mark.start()] + " " * (mark.end() - mark.start()) + prose[mark.end() :]
    found += _ranked(prose)
    found += [Claim(mark.end(), letters_of(mark[1]), DEFINITE) for mark in words.ALL_BUT.finditer(prose)]
    definite = {mark.end(): mark for mark in words.LEADING.finditer(prose)}
    before = MENTIONED
    for start, end in _spans(words.SENTENCE, prose):
        said = _of_sentence(prose, start, end, definite, before)
        before = said[-1].kind if said else before
        found += said
    return sorted(found, key=lambda claim: claim.at)


def settle(text: str, count: int, firm: bool = False) -> tuple[Found, set[int]]:
    """Return the letter of the option that a reply finally chooses, and the indices of the options that it denies.

    A claim is what the reply says about an option. The letter is None if the claims do not settle the choice. It
    is AMBIGUOUS if the claims that settle it name several options, or if no claim settles it and the reply names
    several options with doubt.

    `text`: the reply, in which `mentions.marked` has replaced each mention of an option by a character.
    `count`: the number of options.
    `firm`: whether to ignore clauses that consist only of an option's letter (claims of the kind "alone"). Callers set
    `firm` if a reply declines to answer.
    """
    every = [claim for claim in claims(text) if not (firm and claim.kind == ALONE)]
    cuts = [mark.start() for mark in CORRECTED.finditer(text)]
    checks = [mark.start() for mark in CHECKED.finditer(text)]
    bounds = sorted({0, *cuts, *checks})
    denied: set[int] = set()
    for start, end in reversed(list(zip(bounds, [*bounds[1:], len(text) + 1], strict=True))):
        part = [claim for claim in every if start <= claim.at < end]
        found = _decided(part, denied, corrected=start in cuts)
        if found is not None:
            return found, denied
        denied |= {place for claim in part if claim.kind == DENIED for place in claim.options}
    left = set(range(count)) - denied
    if (
        len(left) == 1
        and count > 2
        and not any(claim.kind in (DOUBTFUL,) and set(claim.options) - left for claim in every)
    ):
        return _name(left.pop()), denied
    doubtful = {place for claim in every if claim.kind == DOUBTFUL for place in claim.options} - denied
    if len(doubtful) > 1:
        return AMBIGUOUS, denied
    return None, denied


def sentences(text: str) -> list[set[int]]:
    """For each sentence of `text`, return the indices of the answer options that the sentence names, except those that
    it rejects ("not B") or takes back ("B, no, C").

    `text`: a reply in which `mentions.marked` has replaced each mention of an option by a character.
    """
    every = claims(text)
    return [
        {
            place
            for claim in every
            if start <= claim.at < end and claim.kind not in (DENIED, DROPPED)
            for place in claim.options
        }
        for start, end in _spans(words.SENTENCE, text)
    ]


def _decided(part: Sequence[Claim], denied: set[int], corrected: bool) -> Found:
    """Return the letter that the claims in one part of a reply lead to; None if they lead to none.

    `denied`: the options that later parts deny; `corrected`: whether the part follows a correction. If it does, the
    last of its claims of the kind `alone` overrides the earlier ones.
    """
    for place in range(len(part) - 1, -1, -1):
        claim = part[place]
        if claim.kind == DEFINITE:
            later = denied | {option for other in part[place + 1 :] if other.kind == DENIED for option in other.options}
            left = [option for option in claim.options if option not in later]
            if left:
                return _name(left[0]) if len(left) == 1 else AMBIGUOUS
    for kind in (JUDGED, ALONE):
        mine = [claim for claim in part if claim.kind == kind]
        gone = denied | {option for claim in part if claim.kind == DENIED for option in claim.options}
        named = {option for claim in mine for option in claim.options} - gone
        if kind == ALONE and len(named) > 1 and corrected:
            named = set(mine[-1].options) - gone
        if named:
            return _name(named.pop()) if len(named) == 1 else AMBIGUOUS
    return None


def _name(place: int) -> str:
    return chr(ord("A") + place)


def _spans(pattern: re.Pattern[str], text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return the spans of the pieces of text[start:end] between matches of `pattern`."""
    end = len(text) if end is None else end
    found = []
    for mark in pattern.finditer(text, start, end):
        found.append((start, mark.start()))
        start = mark.end()
    return [*found, (start, end)]


def _listed(text: str) -> tuple[list[Claim], str]:
    """Return the claims of a list with one option per line, and the text with the list replaced by blanks."""
    every = list(words.LABEL.finditer(text))
    sign = re.compile(rf"[{words.GOOD_MARK}{words.BAD_MARK}\[]")
    labelled = [mark for mark in every if mark["mark"] or mark["rest"].strip() or sign.search(mark["before"])]
    if len({mark["letter"] for mark in labelled}) < 2:
        return [], text
    found = []
    for mark in labelled:
        rest, before = mark["rest"].strip(" \t|"), mark["before"]
        kind = DROPPED
        if re.search(rf"[{words.GOOD_MARK}]|\[[xX✓]\]", before):
            kind = JUDGED
        elif re.search(rf"[{words.BAD_MARK}]", before) or words.FALSE.search(rest):
            kind = DENIED
        elif words.TRUE.search(rest) or words.TRUE_END.search(rest):
            kind = JUDGED
        elif words.FALSE_END.search(rest):
            kind = DENIED
        found.append(Claim(mark.start("letter"), letters_of(mark["letter"]), kind))
        text = text[: mark.start()] + " " * (mark.end() - mark.start()) + text[mark.end() :]
    return found, text


def _in_line(text: str) -> tuple[list[Claim], str]:
    """Return the claims of a list on one line, and the text with them replaced by blanks.

    Such a list has at least three options, each with its verdict.
    """
    marks = list(words.INLINE.finditer(text))
    if len({mark["letter"] for mark in marks}) < 3:
        return [], text
    found = []
    for mark in marks:
        good = mark["word"].lower() in ("true", "yes", "correct", "right") or mark["word"] in words.GOOD_MARK
        found.append(Claim(mark.start("letter"), letters_of(mark["letter"]), JUDGED if good else DENIED))
        text = text[: mark.start()] + " " * (mark.end() - mark.start()) + text[mark.end() :]
    return found, text


def _ranked(text: str) -> list[Claim]:
    """Return a definite claim for the best option of each ranking: D in "D > B > A"."""
    found = []
    for mark in [*words.RANKED.finditer(text), *words.RANKING.finditer(text)]:
        named = re.findall(ONE, mark[0])
        first = named[-1 if words.REVERSED.search(text[max(0, mark.start() - 80) : mark.start()]) else 0]
        found.append(Claim(mark.end(), letters_of(first), DEFINITE))
    return found


def _of_sentence(text: str, start: int, end: int, definite: dict[int, re.Match[str]], before: str) -> list[Claim]:
    """Return the claims of the sentence text[start:end].

    `definite`: phrases such as "the answer is", by the position at which they end. An option mentioned at this position
    is a definite claim. `before`: the kind of the last claim before this sentence.
    """
    found: list[Claim] = []
    question = text[start:end].rstrip(" \"'”’)").endswith(("?", "？"))
    lead_in = False
    for first, last in _spans(words.CLAUSE, text, start, end):
        groups = list(words.MENTION.finditer(text, first, last))
        clause = text[first:last]
        if not groups:
            lead_in = bool(words.PAST.search(clause)) or (lead_in and not words.TURN.match(clause))
            continue
        unclaimed = question or lead_in or bool(words.CONCEDES.search(clause)) or bool(words.PAST.search(clause))
        lead_in = False
        for place, mark in enumerate(groups):
            left = text[groups[place - 1].end() if place else first : mark.start()][-160:]
            right = text[mark.end() : min(end, mark.end() + 160)]
            right = right[: following.start()] if (following := words.MENTION.search(right)) else right
            kind = _kind(text, mark, left, right, definite.get(mark.start()), clause, text[mark.end() : last])
            if kind in (MENTIONED, ALONE) and words.ALIKE.match(clause):
                kind = found[-1].kind if found else before
            if unclaimed and kind != DENIED:
                kind = DROPPED
            found.append(Claim(mark.start(), letters_of(mark[0]), kind))
    return found


def _kind(
    text: str, mark: re.Match[str], left: str, right: str, lead: re.Match[str] | None, clause: str, here: str
) -> str:
    """Return the kind of a mention, from the words to its left in the clause and to its right in the sentence."""
    if words.SECOND.search(left) or words.WHETHER.search(left) or words.SECOND_AFTER.match(here):
        return DROPPED
    after = words.DENIES_AFTER.match(right)
    if after is not None and not words.DOUBLE.search(right[: after.end() + 14]):
        return DENIED
    if lead is None or words.WEAK_LEAD.match(lead[0]) or lead.start() < mark.start() - len(left):
        if words.DENIES.search(left) and not words.DOUBLE.search(left + " "):
            return DENIED
    elif words.DENIES.search(lead["fill"]):
        return DENIED
    if words.DENIES_FAR.search(left):
        return DENIED
    if words.DOUBTS.search(left) or words.IF.match(right):
        return DOUBTFUL
    if lead is not None and not words.NOT_THE_ANSWER.search(text[max(0, lead.start() - 40) : lead.start()]):
        return DEFINITE
    if words.REST.match(right) or words.BUT.search(text[max(0, mark.start() - 6) : mark.start()]):
        return DEFINITE
    if words.ONLY.search(left):
        return DEFINITE
    if words.JUDGES.match(right) and OR not in mark[0]:
        return JUDGED
    if len(clause) < 80 and not words.IDLE.sub("", clause.replace(mark[0], "")):
        return ALONE
    return MENTIONED
