"""PURE: decides whether a text asks for something, and whether it is about its own prompt. It recognises only English,
so texts in other languages pass.

A text counts as asking for nothing only if every sentence begins like a statement ("The sentence uses ...", "Python has
...") and the text has no question, no gap to fill and no verb of request such as "write".
"""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=[.!?;])[\"'”’)]*\s+|\n+")
_STATES = re.compile(
    r"[\"'“‘(\s]*(?:the|an?|this|that|these|those|it|its|it's|he|she|they|we|i|i'm|i've|he's|she's|my|our|your|his|her|their|there|"
    r"there's|here|here's|such|each|both|some|many|most|as an? \w+ (?:model|assistant))\b",
    re.IGNORECASE,
)
_NAME_STATES = re.compile(
    r"[\"'“‘(\s]*([A-Z]\w*)(?: [A-Z]\w*){0,2} (?:has|is|are|was|were|have|had|can|could|will|would|returns?|uses?|contains?)\b"
)
_TITLE = re.compile(
    r"(?!using|given|consider|assum|includ|follow|accord|regard|having|being|look|judg|start|imagin|during|bring|string|sing|king|ring)"
    r"[a-z]+ing\b",
    re.IGNORECASE,
)
_VERBS = (
    "add analy[sz]e answer apply arrange ask assign brainstorm build calculate categori[sz]e change check choose classify combine "
    "come compare complete compose compute consider construct convert correct count create debug define delete derive describe "
    "design detect determine develop devise differentiate discuss draft draw edit estimate evaluate explain extract fill find fix "
    "format formulate generate give group guess help identify imagine implement include infer insert integrate interpret invent "
    "join justify label list make match modify name organi[sz]e outline output paraphrase perform pick plan predict prepare print "
    "produce propose prove provide put rank rate read rearrange recommend reduce refactor remove reorder rephrase replace report "
    "respond return reverse review revise rewrite say search select separate show simplify simulate solve sort specify split state "
    "suggest summari[sz]e suppose take tell transform translate try turn use verify write"
).replace(" ", "|")
_OBJECT = (
    "(?:an?|the|it|its|them|this|that|these|those|each|all|any|your|my|his|her|their|two|three|\\d+|if|whether|how|for)"
)
_REQUEST = re.compile(
    r"\?|_{2,}|(?:\.\.\.|…|:)\s*$"  # a question, a gap, an open end
    r"|(?:^|[.!?;:\n]\s*)(?:what|which|who|whose|why|where|when|how)\b"
    r"|\b(?:please|kindly|how (?:to|do|many|much)|whether|your (?:task|job|goal|role|mission|answer)|task is|goal is"
    r"|is to (?:be )?\w+|are to \w+|you (?:must|should|shall|will|can|may|have|need|are)|must|should|needs? to|has to|have to"
    r"|requires? (?:you|an?|the|that)|want(?:s|ed)?|would like|i'd like|looking for|i need|we need|let's|let us|asked to|help me)\b"
    rf"|(?:[,;:\-–—(\"'“]\s*|\b(?:and|then|or) )(?:then |now |also |just )?(?:{_VERBS})\b(?= {_OBJECT}\b)",
    re.IGNORECASE,
)
_SPEAKS = re.compile(
    r"\bthe new keywords\b|\b(?:uses?|using|with|contains?|of) (?:all )?(?:the )?(?:new|three new) keywords\b"
    r"|\b(?:write|creat|generat|propos)\w* (?:an?|one|the) (?:\w+ ){0,3}?instruction (?:that|which)\b"
    r"|\binstructions? that (?:is|are) executable\b|\b(?:data|keywords?|domain|part|format) of (?:the|an|this) instruction\b"
    r"|\b(?:used|given|needed) in the instruction\b|\bdo not answer it\b|\bexecutable as it stands\b"
    r"|\b(?:reply|respond) with (?:one )?json\b.{0,30}\binstruction\b"
    r"|\b(?:write|creat|generat|propos|compos)\w* (?:an?|one|another|the)? ?(?:[\w-]+ ){0,3}"
    r"(?:task|instruction|question|problem|exercise)s?\b[\s\S]{0,40}\bkeywords?\s*:",
    re.IGNORECASE,
)

_OF_REQUEST = re.compile(
    r"^\W*(?:your task is (?:to|now)|the user (?:is|wants|asks|has asked)|answer the user)\b|\b(?:the|this) (?:user(?:'s|’s)? )?"
    r"instructions? (?:is|was|asks|says|above)\b|\bthe user(?:'s|’s) (?:instruction|request|prompt)\b"
    r"|\b(?:goal|purpose) of (?:the|this) instruction\b",
    re.IGNORECASE,
)
_ABOUT_REQUESTS = re.compile(r"instruct|prompt|\buser|assistant|answering|chat|request", re.IGNORECASE)
_IMPERATIVE = re.compile(rf"(?:{_VERBS})", re.IGNORECASE)

_SPOKEN_OF = (
    "keyword",
    "nstruct",
    "nswer it",
    "executable",
)  # "instruct" lacks its first letter, because with re.IGNORECASE the pattern also matches a dotless i there


def asks_for_something(text: str) -> bool:
    """Return whether the text may ask for something. It asks for nothing if it contains no request, and either every
    sentence is clearly a statement or the whole text is a title ("Implementing a new measure ...")."""
    sentences = [sentence for sentence in _SENTENCE.split(text.strip()) if sentence.strip()]
    titled = len(sentences) == 1 and _TITLE.match(text.strip()) is not None
    stated = titled or all(map(_is_stated, sentences))
    return not stated or _REQUEST.search(text) is not None  # in this order: the long pattern is by far the slowest


def _is_stated(sentence: str) -> bool:
    named = _NAME_STATES.match(sentence)
    return _STATES.match(sentence) is not None or (named is not None and not is_imperative(named[1]))


def speaks_of_prompt(text: str) -> bool:
    """Return whether the text is about writing an instruction from keywords. Such a text repeats the generator's own prompt."""
    folded = text.casefold()  # a quick check first: each branch of the pattern contains one of _SPOKEN_OF
    return any(map(folded.__contains__, _SPOKEN_OF)) and _SPEAKS.search(text) is not None


def speaks_of_request(response: str, instruction: str) -> str | None:
    """Return the words in which a response talks about the request ("The user's instruction is complete.") instead of
    fulfilling it. Return None if there are no such words, or if the instruction itself is about users, assistants or
    instructions."""
    found = _OF_REQUEST.search(response)
    return found[0].strip() if found is not None and not _ABOUT_REQUESTS.search(instruction) else None


def is_imperative(word: str) -> bool:
    """Return whether `word` is a verb with which tasks often begin, such as "write"."""
    return _IMPERATIVE.fullmatch(word) is not None
