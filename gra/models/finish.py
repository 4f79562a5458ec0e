"""PURE: why a generation ended, in one vocabulary: servers name the same few things in many words.

`normal("MAX_TOKENS") == "length"`. The words are those of OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama, OpenRouter, Mistral,
DeepSeek, Anthropic, Google and Bedrock, compared without case and punctuation. What nobody here knows stays as it is.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Finish = Literal["stop", "length", "content_filter", "error", "tool_calls"]
KNOWN: frozenset[str] = frozenset(get_args(Finish))

_WORDS: dict[Finish, str] = {
    "stop": "stop stopped eos eosid eostoken eosreached eot eom endturn endofturn endoftext endofsequence stopsequence stopstring "
    "stoptoken stopword complete completed completion finish finished done normal success successful ok",
    "length": "length lengths maxlength maxlengthreached lengthlimit lengthlimitreached lengthcapped lengthfinish "
    "maxtokens maxtoken maxtokensreached maxtokenreached maxtokensexceeded maxnewtokens maxoutputtokens maxoutput "
    "maxcompletiontokens maxgenerationtokens maxsteps modellength maxmodellength maxmodellen tokenlimit tokenlimitreached "
    "tokenslimit tokenslimitreached outputlimit outputtokenlimit outputlength limit limitreached truncated truncation cutoff "
    "incomplete contextlength contextlengthexceeded contextlimit contextlimitreached contextwindow contextwindowexceeded "
    "contextfull contextoverflow contextsize contextsizeexceeded modelcontextwindowexceeded maxcontextlength "
    "maxcontextlengthexceeded maxseqlen maxsequencelength numpredict budgetexceeded",
    "content_filter": "contentfilter contentfiltered contentfiltering filter filtered filteredcontent safety imagesafety "
    "recitation blocklist blocked prohibitedcontent prohibited spii refusal refused moderation moderated contentmoderation "
    "inputmoderation outputmoderation guardrail guardrails guardrailintervened policyviolation contentpolicy "
    "contentpolicyviolation contentblocked sensitive sensitivecontent censored harmful toxic",
    "error": "error errored abort aborted cancel canceled cancelled fail failed failure internalerror internalservererror "
    "servererror apierror networkerror connectionerror timeout timedout deadlineexceeded interrupted disconnected preempted "
    "evicted overloaded unavailable load unload insufficientsystemresource malformedfunctioncall malformedresponse "
    "unexpectedtoolcall malformedmodeloutput malformedtooluse ratelimit ratelimited",
    "tool_calls": "toolcall toolcalls tooluse functioncall functioncalls pauseturn",
}
_NORMAL: dict[str, Finish] = {word: name for name, words in _WORDS.items() for word in words.split()}
LONGEST = 60  # characters of an unknown word that are kept


def normal(word: str) -> str:
    """One of `KNOWN` for a server's word, or the word itself, on one line and cut to `LONGEST` characters."""
    if word in KNOWN:
        return word
    plain = re.sub(r"[\W_]+", "", word.casefold()).removeprefix("finishreason")
    return _NORMAL.get(plain) or " ".join(word.split())[:LONGEST]
