"""PURE: decides whether a response is only a stock refusal ("I'm sorry, but I can't assist with that."), or only asks
for more information.

Small chat models refuse harmless tasks, or ask the user to say more. No student should be trained on such a reply, so
it counts as unusable and the call is retried. Three kinds of responses look similar, but count as answers: an
explanation why something cannot be done, a text that declines an invitation because the task asks for it, and a request
for information that is part of a dialogue (the task asks for the words of a clerk or a doctor).
"""

from __future__ import annotations

import re

MOST_WORDS = 40  # a longer reply is more than a refusal
_GREETING = r"(?:hello|hi|thank you|thanks)\b[^.!?]{0,40}?[.!,]\s*(?:but )?"
_SORRY = (
    r"(?:(?:i'?m|i am|we'?re) (?:really |very |so |truly )?(?:sorry|afraid)(?: that)?|sorry"
    r"|(?:my |i )?apolog(?:ies|i[sz]e)|unfortunately)"
    r"\W+(?:but )?"
)
_AI = (
    r"(?:as an? (?:(?:ai|artificial intelligence)(?: (?:language )?(?:model|assistant))?|(?:large )?language model)"
    r",? )"
)
_CANNOT = (
    r"i(?:'?m| am)? (?:just |simply )?(?:can'?t|can ?not(?: and will not)?|couldn'?t|won'?t(?: be able to)?|unable to|not able to"
    r"|not allowed to|must decline(?: to)?|have to decline(?: to)?|refuse to)"
)
_THAT = r"(?:that|this|it|you|your|the|such|these|those)(?: \w+){0,2}"
_DOING = (
    rf"(?:(?:assist|help)(?: you)?(?: (?:with|in|on) {_THAT})?"
    rf"|(?:fulfil+|complete|process|satisfy|comply with|do|answer|handle) {_THAT}"
    rf"|(?:provide|generate|create|write|produce|engage in|continue with|discuss) {_THAT}"
    rf"|provide (?:assistance|help|support)(?: (?:with|in|on|for) {_THAT})?"
    r"|(?:that|this|the|your|such) (?:\w+ )?(?:request|task|question|prompt)s?)"
)
_REFUSAL = re.compile(
    rf"^(?:{_GREETING})?(?:{_SORRY})?{_AI}?(?:{_SORRY})?{_CANNOT} {_DOING}\s*(?:[.!]|,|$| at this time| because| as )",
    re.IGNORECASE,
)
_AI_REFUSAL = re.compile(  # "I'm sorry, but as an AI language model, I am unable to write stories ..."
    rf"^(?:{_GREETING})?{_SORRY}{_AI}{_CANNOT} "
    r"(?:write|create|generate|compose|produce|engage in|draw|role-?play|pretend|tell|share)\b",
    re.IGNORECASE,
)
_MORE = r"(?:some |a (?:bit|little|few) )?(?:more|additional|further) (?:\w+ )?(?:information|info|details|context|specifics)\b"
_ASKS_BACK = re.compile(
    rf"^(?:{_GREETING})?(?:{_SORRY})?(?:i (?:need|have) to [^.!?]{{0,80}}[.!] )?(?:to [^.!?]{{0,60}}?, )?"
    rf"(?:i(?:'?ll| will| would|'?d)? (?:still )?(?:need|require) {_MORE}"
    rf"|(?:(?:could|can|would) you (?:please )?|please )(?:provide|share|give)(?: me)?(?: with)? {_MORE})",
    re.IGNORECASE,
)
_MAY_ASK = re.compile(  # words of tasks to which a question can be an answer
    r"\b(?:role|customers?|clients?|patients?|agent|assistant|dialogue|conversation|interview\w*|e-?mails?|letter|message|imagine"
    r"|pretend|act as|you are|you're|support|reply|respond|ask\w*|questions?|requests?|inquir\w*|information|clarif\w*)\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Return whether the response is only a refusal. Only English refusals are recognised."""
    plain = _plain(text)
    count = len(plain.split(" "))
    return (count <= MOST_WORDS and _REFUSAL.match(plain) is not None) or (
        count <= 2 * MOST_WORDS and _AI_REFUSAL.match(plain) is not None
    )


def asks_back(text: str, instruction: str) -> bool:
    """Return whether the response only asks for more information, in place of an answer to `instruction`. Only English
    requests are recognised."""
    plain = _plain(text)
    short = len(plain.split(" ")) <= 2 * MOST_WORDS
    return short and _ASKS_BACK.match(plain) is not None and _MAY_ASK.search(instruction) is None


def _plain(text: str) -> str:
    return " ".join(text.replace("\u2019", "'").split())
