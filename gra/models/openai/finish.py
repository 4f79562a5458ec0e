"""PURE: maps the servers' many words for the end of a generation to one vocabulary: `normal("MAX_TOKENS") == "length"`.

The words are those of OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama, OpenRouter, Mistral, DeepSeek, Anthropic, Google,
Cohere and Bedrock. They are compared without case and punctuation. Compounds that are not in the list are classified by
their parts ("IMAGE_PROHIBITED_CONTENT", "output_truncated"). Unknown words stay unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

Finish = Literal["stop", "length", "content_filter", "error", "tool_calls"]
KNOWN: frozenset[str] = frozenset(get_args(Finish))

_WORDS: dict[Finish, str] = {
    "stop": "stop stopped eos eosid eostoken eosreached eot eotid eom imend "
    "end endturn endofturn endoftext endofsequence stopsequence stopstring "
    "stoptoken stopword complete completed completion finish finished done normal success successful ok",
    "length": "length lengths maxlength maxlengthreached lengthlimit lengthlimitreached lengthcapped lengthfinish "
    "maxtokens maxtoken maxtokensreached maxtokenreached maxtokensexceeded maxnewtokens maxoutputtokens maxoutput "
    "maxcompletiontokens maxgenerationtokens maxsteps modellength maxmodellength maxmodellen tokenlimit tokenlimitreached "
    "tokenslimit tokenslimitreached outputlimit outputtokenlimit outputlength limit limitreached truncated truncation cutoff "
    "incomplete contextlength contextlengthexceeded contextlimit contextlimitreached contextwindow contextwindowexceeded "
    "contextfull contextoverflow contextsize contextsizeexceeded modelcontextwindowexceeded maxcontextlength "
    "maxcontextlengthexceeded maxseqlen maxsequencelength numpredict budgetexceeded maxtime maxgentoks "
    "notfinished unfinished errorlimit responseincomplete finishlength",
    "content_filter": "contentfilter contentfiltered contentfiltering filter filtered filteredcontent safety imagesafety "
    "recitation blocklist blocked prohibitedcontent prohibited spii refusal refused moderation moderated contentmoderation "
    "inputmoderation outputmoderation guardrail guardrails guardrailintervened policyviolation contentpolicy "
    "contentpolicyviolation contentblocked sensitive sensitivecontent censored harmful toxic unsafe jailbreak modelarmor language",
    "error": "error errored exception crash crashed killed "
    "abort aborted cancel canceled cancelled fail failed failure internalerror internalservererror "
    "servererror apierror networkerror connectionerror timeout timedout deadlineexceeded interrupted disconnected preempted "
    "evicted overloaded unavailable load unload insufficientsystemresource malformedfunctioncall malformedresponse "
    "unexpectedtoolcall malformedmodeloutput malformedtooluse ratelimit ratelimited toomanytoolcalls "
    "missingthoughtsignature outofmemory oom kvcachefull nospace",
    "tool_calls": "toolcall toolcalls tooluse functioncall functioncalls pauseturn",
}
_NORMAL: dict[str, Finish] = {word: name for name, words in _WORDS.items() for word in words.split()}
# Parts of compounds; the first match decides. A text that a filter, a fault or a limit ended is not an answer.
_PARTS: tuple[tuple[Finish, re.Pattern[str]], ...] = (
    (
        "content_filter",
        re.compile(r"filter|safety|prohibited|recitation|blocked|moderat|guardrail|refus|sensitive|toxic|policy"),
    ),
    (
        "length",
        re.compile(
            r"truncat|max.*(token|length|len)|(token|length|context|output|time|size|budget)s?(limit|exceed|full)"
        ),
    ),
    ("error", re.compile(r"error|abort|cancel|fail|timedout|timeout|malformed|disconnect|outofmemory")),
)
_NOT = re.compile(r"^(no|non|not|un)|(none|false|ok|passed|safe)$")  # "not_truncated", "unfiltered", "no_error"
_NO_ANSWER = ("length", "content_filter", "error")
_NAMES = ("finish_reason", "native_finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")
_OTHER_NAMES = frozenset(_NAMES[1:])
LONGEST = 60  # an unknown word is cut to this number of characters


def normal(word: str) -> str:
    """Return the standard word for the server's `word`, which says why the generation ended. The standard words
    (`KNOWN`) are stop, length, content_filter, error and tool_calls. If `word` is unknown, return it on one line, cut
    to 60 characters (`LONGEST`)."""
    if word in KNOWN:
        return word
    plain = re.sub(r"[\W_]+", "", word.casefold()).removeprefix("finishreason")
    return _NORMAL.get(plain) or _by_part(plain) or " ".join(word.split())[:LONGEST]


def said_by(choice: Mapping[str, Any]) -> str:
    """Return the word with which the server says why the generation ended. Return "" if the server sends none.
    `choice`: an entry of `choices` in the server's answer.

    A gateway can send its own word and the provider's word (OpenRouter's `native_finish_reason`). Some gateways call
    every end "stop". Therefore, if there are several words, one that reports an incomplete answer takes precedence.
    SGLang's native API sends an object instead of a word. Its `type` is then the word.
    """
    only = choice.get("finish_reason")
    if isinstance(only, str) and choice.keys().isdisjoint(_OTHER_NAMES):  # the usual form
        return only if only.strip() else ""
    found: list[str] = []
    for name in _NAMES:
        value = choice.get(name)
        value = value[0] if isinstance(value, list) and value else value
        value = value.get("type") or value.get("reason") if isinstance(value, Mapping) else value
        if isinstance(value, str) and value.strip():
            found.append(value)
    first = found[0] if choice.get("finish_reason") and found else ""
    if first and normal(first) != "stop":
        return first
    return next((word for word in found if normal(word) in _NO_ANSWER), first or next(iter(found), ""))


def _by_part(plain: str) -> Finish | None:
    if len(plain) > LONGEST or _NOT.search(plain):
        return None
    return next((name for name, part in _PARTS if part.search(plain)), None)
