r"""PURE: the answer to an item of BIG-Bench Hard, read tolerantly, by the form of the right one:

    (B)                        an option's letter: the rules of letters.py; the options are those that the question lists
    12                         a number: the rules of number.py
    yes / no, True / False, valid / invalid ("not valid" is invalid)
        boxed                  the word in the last \boxed{...}
        stated                 the first of the two words after the last "answer is", "Answer:" ... that is followed by one
        bold                   the word in bold, where all in bold agree
        begins                 a reply that begins with the word and punctuation
        last                   the last sentence with one of the words (yes and no: as its first word, after "is",
                               or set off by punctuation; True and False: after its last "=", if it has one), if it has no other
                               ("not True" is none), or its last clause concludes with one ("... so it is True")
    ] ) }                      brackets, whatever stands between them; the question's own before them are taken off
        stated                 those that follow the last "answer is", "Answer:" ... that is followed by some
        marked                 the last in bold, in backticks or in quotes
        last                   those that end the last line
    barn damp dot              the words of a list to be sorted (they are the question's; what joins or numbers them is passed over)
        stated                 as many of them as there are, after the last "sorted", "answer is", "Answer:" ... that has as many
        last                   the last as many of the reply

A reply that declines to answer has none from `bold` on (words) or `marked` on (brackets). Any other text (three faulty items have
such) has to follow "answer is" whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval import letters, number
from eval.phrases import AMBIGUOUS, Found, bold, boxed, clause, conclusion, lines, refuses, sentences, settled, statements

PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"))
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)
_BRACKETS = re.compile(r"[()\[\]{}<>](?:[\s,\"'`]{0,4}[()\[\]{}<>])*")
_ENDING = re.compile(r"(?<!\S)[\"'`$]?[()\[\]{}<>](?:[\s,\"'`$]{0,4}[()\[\]{}<>])*[\"'`$.]{0,3}$")
_MARKED = re.compile(r"\*\*([^*\n]{1,300})\*\*|`([^`\n]{1,300})`|\"([^\"\n]{1,300})\"")
_NOT_VALID = re.compile(r"\b(?:not|isn't|isn’t)\s{1,3}(?:deductively |logically |strictly )?valid\b", re.IGNORECASE)
_OTHER = re.compile(  # "not True", where the other word stands before it
    r"(?:(?:[,;(]|[-–—]|\band\b|\bbut\b)\s{0,3}not|\brather than|\binstead of|\bas opposed to)[\s*`\"']{1,4}(?:yes|no|true|"
    r"false|valid|invalid)\b", re.IGNORECASE
)
_SO = re.compile(r"\b(?:so|thus|hence|therefore|result|evaluates?|gives?|equals?|finally|overall|becomes?|makes?|means?|"
    r"leaves?|conclusion|conclude)\b|→|⇒|=>", re.IGNORECASE)
_CLAUSES = re.compile(r"[,;:]\s+|\s+(?=(?:so|thus|hence|therefore|but|and|which)\b)", re.IGNORECASE)
_SORTED = re.compile(r"\b(?:sorted|alphabetical(?:ly)?)\b[^\n:]{0,80}(?::|\bis\b)", re.IGNORECASE)


def read(question: str, reply: str, gold: str) -> tuple[str | None, bool]:
    """The answer that `reply` gives to `question`, in the form of `gold`, and whether it is the right one."""
    gold = gold.strip()
    if re.fullmatch(r"\([A-Z]\)", gold):
        letter = letters.stated(reply, [text for _, text in _OPTION.findall(question)])
        return letter, letter == gold.strip("()")
    if re.fullmatch(r"[()\[\]{}<>\s]+", gold):
        closing = brackets(question, reply)
        return closing, closing == " ".join(gold.split())
    if re.fullmatch(r"-?[\d,.]+", gold):
        found = number.stated(reply)
        return found, found is not None and number.same(found, gold)
    pair = next((pair for pair in PAIRS if gold.casefold() in pair), None)
    if pair is not None:
        said = word(reply, pair)
        return said, said == gold.casefold()
    if question.lstrip().startswith("Sort "):
        order = sorting(reply, gold.split())
        return order, order == gold.casefold()
    said = next((plain for rest in statements(conclusion(reply)) if (plain := clause(rest).strip(" *_\"'").casefold())), None)
    return said, said == gold.casefold()


def word(reply: str, pair: tuple[str, str]) -> str | None:
    """Which of two words the reply states, in small letters; None where it states neither or both."""
    text = conclusion(reply)
    found: Found = _only(_words(boxed(text) or "", pair))
    for rest in statements(text) if not found else ():
        said = _words(clause(rest), pair)
        either = re.search(rf"\b{pair[0]}\W{{1,4}}(?:or|and|/)\W{{1,4}}{pair[1]}\b", rest[:200], re.IGNORECASE)
        found = found or (AMBIGUOUS if either else said[0] if said else None)
    if not found and not refuses(text):
        found = _only([said for words in bold(text) for said in _words(words, pair)])
        begun = re.match(rf"\W{{0,4}}({pair[0]}|{pair[1]})\s{{0,3}}(?:[.,!:;*)]|$)", text.lstrip(), re.IGNORECASE | re.MULTILINE)
        found = found or (begun[1].casefold() if begun else None)
        for sentence in reversed(sentences(text)) if not found else ():
            said = _alone(sentence, pair)
            if said:
                found = _only(said) or _last_clause(sentence, pair) or AMBIGUOUS
                break
    return settled(found)


def brackets(question: str, reply: str) -> str | None:
    """The closing brackets that the reply gives, one space between."""
    text = conclusion(reply)
    opened = _runs(question)[-1:] or [""]
    found = ""
    for rest in statements(text):
        found = found or next(iter(_runs(rest.split("\n", 1)[0])), "")
    if not found and not refuses(text):
        marked = [runs[-1] for match in _MARKED.finditer(text) if (runs := _runs(next(filter(None, match.groups()), "")))]
        end = _ENDING.search((lines(text) or [""])[-1][-300:])
        found = marked[-1] if marked else "".join(_runs(end[0])) if end else ""
    return " ".join(found.removeprefix(opened[0]) if found != opened[0] else found) or None


def sorting(reply: str, words: Sequence[str]) -> str | None:
    """The words of the list in the reply's order, in small letters; None where it does not give as many."""
    text = conclusion(reply).casefold()
    known = {entry.casefold() for entry in words}
    token = re.compile("|".join(rf"(?<!\w){re.escape(entry)}(?!\w)" for entry in sorted(known, key=lambda w: (-len(w), w))))
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
    text = _OTHER.sub(" ", text)
    return [found.casefold() for found in re.findall(rf"\b(?:{pair[0]}|{pair[1]})\b", text, re.IGNORECASE)]


def _last_clause(sentence: str, pair: tuple[str, str]) -> str | None:
    """The word in the last clause of a sentence, where that concludes from those before it."""
    last = _CLAUSES.split(sentence[-2000:])[-1]
    return _only(_words(last, pair)) if _SO.search(last) else None


def _alone(sentence: str, pair: tuple[str, str]) -> list[str]:
    """The words where they are an answer rather than part of the talk."""
    if pair[0] == "true":
        return _words(sentence.rpartition("=")[2], pair)
    if pair[0] == "yes":
        either = rf"(?:^|[,:;=\-]|\b(?:is|be|say)\b)[\s*\"'(]{{0,4}}({pair[0]}|{pair[1]})(?=[\s*\"')]{{0,4}}(?:[.,;:!]|$))"
        return [found.casefold() for found in re.findall(either, sentence, re.IGNORECASE)]
    return _words(sentence, pair)


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(set(found)) == 1 else None


def _runs(text: str) -> list[str]:
    """The runs of brackets in a text, without what stands between them."""
    return [re.sub(r"[^()\[\]{}<>]", "", run) for run in _BRACKETS.findall(text)]
