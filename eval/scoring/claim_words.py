"""PURE: defines the words that mark claims about options (claims.py), in English and some in other languages.

The patterns apply to a marked text (mentions.py), in which each mention of an option is one private-use character.
"""

from __future__ import annotations

import re

from gra.eval.scoring.mentions import BOX, GROUP, ONE
from gra.eval.scoring.phrases import worded

_I = re.IGNORECASE
FILL = (
    r"(?:[\s*_\"'“‘`:(\[{]|\b(?:most|more|very|likely|probably|clearly|definitely|therefore|thus|hence|indeed|still|really|surely|simply|just|"
    r"obviously|certainly|then|now|the|an?|only|single|option|choice|letter|answer|ending|number|actually|rather|in fact|either|"
    r"la|le|el|die|der|das|lettre|letra|opción|respuesta|buchstabe|option)\b|选项|選項|应该|應該|选|選){0,12}"
)
ANSWER = (
    r"(?:\b(?:answers?|(?:correct|right|best|final|strongest|better|most \w{4,20}|first|only|top|remaining|true|accurate|"
    r"matching|intended|"
    r"valid|proper|appropriate)(?: remaining| possible| available)?"
    r"(?: (?:option|choice|ending|letter|result|one|statement|pick|guess|candidate|possibility|completion|continuation|response))?|"
    r"odd (?:one|man) out|exception|outlier|"
    r"(?:pick|guess|vote|choice|selection|conclusion|verdict|bet|preference|result|solution|winner)|"
    r"respuesta|réponse|antwort|risposta|resposta|ответ|lösung|richtig|correcta?|correct)\b|答案|正解|正确|答え|正確|选择|應選|应选|故选|所以选)"
)
LINK = (
    r"(?:\b(?:is|are|be|becomes|was|ist|est|es|è|é|sería|lautet|would seem to be)\b|'s\b|’s\b|[:：=→–—]|-(?= )|是|为|"
    r"為|は|が|应为|\n)"
)
NOT_THE_ANSWER = re.compile(
    worded(
        r"(?:second|next|third|other|another|wrong|incorrect|previous|initial|original|earlier|former|first|tempting|popular|common|backup|"
        r"alternative|worst|least \w+)(?:(?:-| )best)?(?: \w+)?",
        "not an?",
        "isn't",
        "nor",
        "no",
    )
    + r"\s*\Z",
    _I,
)
LEADING = re.compile(  # before a letter: makes it definite
    r"(?:"
    + rf"{ANSWER}[^\n.!?:：=]{{0,60}}?{LINK}|"
    + r"\bI(?:['’]d|['’]ll| would| will| am|['’]m| must| have to| might)?(?: have to| to| therefore| also)? ?(?:choose|"
    r"chose|pick(?:ed)?|select(?:ed)?|go(?:ing)?"
    r" (?:with|for)|say|vote(?: for)?|guess|opt(?:ed)? for|settle(?:d)? on|lean(?:ing)? (?:towards?|to)|conclude|answer|"
    r"bet on|believe|"
    r"think|meant?|favou?r|prefer|recommend|submit|stick with|take)(?: (?:that|it|is|it['’]s|with|on|be|this|would|will|"
    r"should|must|has|to)){0,4}\b|"
    r"\bit(?:['’]s| is| must be| has to be| should be| would be| can only be| has got to be| will be| ought to be|['’]d be|"
    r"['’]s got to be)\b|"
    r"\b(?:this|that|which|we|you|these|everything|all|evidence|clues?)\b[^\n.!?]{0,40}\b(?:leaves?|leaving)(?: (?:us|me|"
    r"only|just|with)){0,3}\b|"
    r"\bleav(?:es?|ing)(?: (?:us|me|only|just|with)){0,3}\b|\bleft(?: only)? with(?: only| just)?\b|"
    r"\b(?:narrow(?:s|ed|ing)?|comes?|boils?|points?|leads?|brings?)(?: (?:it|us|me|this|things|strongly|clearly|"
    r"directly))?(?: down)? to\b|"
    r"\b(?:change|switch|revise|update|amend)(?: (?:that|it|this|my answer|my choice|the answer))? to\b|"
    r"\b(?:choose|select|pick|go with|going with|opt for|settle on|mark|circle)\b|"
    r"\b(?:so|therefore|thus|hence|consequently|accordingly|conclusion|finally)\b[\s,:]{0,3}|[⇒→➡👉☞]|"
    rf"\b(?:remaining|left|leftover)(?: \w+)? (?:is|are)\b|\bthat(?:['’]s| is| would be| must be| has to be)\b|{BOX}|"
    r"\bmust (?:then |therefore )?be\b" + rf")(?P<fill>{FILL})(?={ONE})",
    _I,
)
WEAK_LEAD = re.compile(r"^(?:so|therefore|thus|hence|consequently|accordingly|finally|that|which|must|it)\b", _I)
AFTER = r"\)?(?:\s?\([^()\n]{0,80}\))?[,:\s]{0,3}"
REST = re.compile(  # after a letter: makes it definite
    rf"{AFTER}(?:it is\b|it must be\b|it has to be\b|(?:is|would be|must be|has to be|seems(?: to be)?|becomes|remains|being)"
    r"[ \t]+(?:\w+ly[ \t]+)?(?:the |my |our )(?:\w+ly )?(?:\w+ )?(?:final |correct |right |best |only |true |most \w+ )*"
    r"(?:answer|choice|pick|option|winner|one|way to go|solution|selection|guess)\b|remains\b(?! to)|"
    r"is (?:all that(?:['’]s| is) )?left\b|is what(?:['’]s left| remains| is left)\b|"
    r"is (?:the )?(?:only )?(?:one |option )?(?:left|remaining|still standing|that remains)\b|stands\b)",
    _I,
)
GOOD = (
    r"(?:correct|right|true|accurate|valid|best|better|strongest|stronger|ideal|supported|appropriate|likely|likeliest|plausible|sensible|"
    r"reasonable|logical|suitable|fitting|consistent|superior|preferable|favou?red|spot on|richtig|korrekt|correcta?|"
    r"vraie?|juste|stated)"
)
JUDGES = re.compile(
    rf"{AFTER}(?:(?:is|are|seems|appears|looks|must be|would be|has to be|should be|ist|est|es|being|"
    rf"was)[ \t]+(?:to be )?(?:(?:\w+ly|also|still|indeed)[ \t]+)?(?:the |a |an )?"
    rf"(?:single |only |most |more |clear |very |\w+est )?{GOOD}\b(?! (?:second|but))|"
    r"(?:fits?|works?|holds?|matches|applies|wins|follows|makes (?:the )?(?:most |more )?sense|does|answers)\b|[✓✔✅☑]|"
    r"[:=]?[ \t]*(?:true|correct|yes)\b|(?:是|为)?(?:正确|对)|が正しい)",
    _I,
)
ONLY = re.compile(r"\bonly\s+(?:option |choice |answer |one |left )?\Z", _I)
DENIES_AFTER = re.compile(
    rf"{AFTER}(?:and\b\s*)?(?:(?:clearly|also|definitely|obviously|simply|both|all|each|therefore|thus)[ \t]+)?(?:"
    r"(?:is|are|was|were|would be|seems?|looks?|appears?|can|could|does|do|did|has|have|will|would|should|must|may|might|"
    r"being|sounds|ist|est|es)(?:n['’]t|not\b|[ \t]+)"
    r"(?:(?:to be|be|both|all|also|clearly|definitely|obviously|simply|just|therefore|thus|quite|far|much|a bit|rather|"
    r"somewhat|completely|factually|"
    r"largely|even|certainly|probably|most likely)[ \t]+){0,3}(?:n['’]t|not\b|never\b|no\b|wrong|incorrect|false|untrue|"
    r"out\b|off\b|eliminated|ruled|excluded|impossible|"
    r"unlikely|irrelevant|invalid|too\b|contradict|unsupported|inaccurate|implausible|unrelated|distractor|a (?:distractor|"
    r"trap|red herring|mistake|misconception)|"
    r"tempting|discarded|dismissed|rejected|inconsistent|falsch|fausse?|incorrecta?|crossed|opposite|the opposite|"
    r"misleading|nonsens|absurd|outdated|beside|"
    r"gone|unreasonable|weak|less\b|worse|the wrong|an? (?:incorrect|wrong)|unfounded|only partly|partially)"
    r"|(?:is|are|was|were|does|do|did|has|have|can|could|would|will|should|must)n['’]t\b|cannot\b|can['’]?t\b"
    r"|(?:fails?|violates?|contradicts?|lacks?|ignores?|misses|confuses|misstates?|misrepresents?|goes (?:against|too far)|"
    r"conflicts?|never|reverses|overstates?)\b|[✗✘❌×]|"
    r"(?:false|incorrect|wrong)\b|[:=][ \t]*(?:false|incorrect|wrong|no|not)\b|(?:是)?(?:错|錯|不)|no (?:es|longer)\b|"
    r"n['’]est pas\b)",
    _I,
)
DOUBLE = re.compile(
    r"(?:not|n['’]t|never|cannot)[ \t]+(?:be )?(?:wrong|incorrect|false|eliminated|excluded|ruled|"
    r"impossible|unlikely|only)",
    _I,
)
DENIES = re.compile(  # before a letter: denies it
    worded(
        r"not(?! only| just| merely)",
        r"(?:is|are|was|were|ca|could|would|does|do|must|should|wo|did)n't",
        "cannot",
        "never",
        "neither",
        "nor",
        "no longer",
        "rather than",
        "instead of",
        "as opposed to",
        "except(?: for)?",
        "unlike",
        "than",
        "over",
        "without",
        "hardly",
        r"eliminat\w+",
        r"rul(?:e|es|ed|ing) out",
        r"cross(?:es|ed|ing)?(?: (?:out|off))",
        r"exclud\w+",
        r"discard\w*",
        r"dismiss\w*",
        r"reject\w*",
        r"discount\w*",
        r"strik\w+(?: out)?",
        "none of",
        r"(?:un)?like",
        "wrong",
        "incorrect",
        "false",
        "contradicts?",
        r"rules?",
        r"drop(?:s|ped|ping)?",
        "disqualif\\w+",
        "against",
        "remov\\w+",
        "avoid",
        "pas",
        "nicht",
        "et non",
    )
    + r"(?:[\s,:(\"']|\b(?:be|being|the|an?|is|are|it|as|in|for|of|we|both|on|out|off|to|either|say|think|that|pick|choose|"
    r"go|with|this|answers?|correct|"
    r"options?|choices?|all|also|immediately|first|sure|about|here|just|at|once|right|case|been|would|must|like|best|my|"
    r"which|can|one|ones|include|out)\b){0,9}\Z",
    _I,
)
DENIES_FAR = re.compile(
    worded(
        "nothing",
        "no evidence",
        "no reason",
        "nobody",
        "neither",
        r"(?:don't|do not|doesn't|does not|can't|cannot|"
        r"wouldn't|would not) (?:think|believe|see|agree|mean|say)",
        "rul(?:e|es|ed|ing)(?: \\w+)? out",
        "doubt",
        "not (?:convinced|true|sure)",
        "(?:un|im)likely",
        "far from",
        "hard to",
        "too \\w+ to",
        "no way",
    ),
    _I,
)
ALIKE = re.compile(  # the next mention is a claim of the same kind as the previous one
    r"[\W_]*(?:(?:and|but|or)\s+)?"
    r"(?:(?:so|as|nor|neither)\s+(?:is|are|was|were|can|could|do|does|did|has|have|must|should|would|will)\b|"
    r"(?:the\s+)?same\s+(?:is\s+true|goes|applies|holds|can\s+be\s+said|thing|problem|with|for)\b|"
    r"(?:likewise|similarly|ditto)\b)",
    _I,
)
BUT = re.compile(r"\bbut\s*\Z", _I)
CONCEDES = re.compile(
    r"^\W*(?:and |but )?"
    + worded(
        "although",
        "though",
        "even though",
        "while",
        "whilst",
        "whereas",
        "despite",
        "even if",
        "if(?! I\\b)",
        "unless",
        "suppose",
        "supposing",
        "assuming",
        "whether",
        "were",
    ),
    _I,
)
PAST = re.compile(
    worded(
        "initially",
        "originally",
        "at first",
        "first glance",
        "first sight",
        "first thought",
        "I(?: had)?(?: first|"
        " initially| originally)? (?:thought|assumed|said|wrote|guessed|considered|believed|wanted)",
        "(?:I )?(?:was|were|am|be) tempted",
        r"my (?:first|initial|earlier|previous|original) (?:thought|answer|guess|"
        r"instinct|reply|response|impression|reaction|inclination)",
        "previously",
        "earlier",
        r"(?:many|some|most) (?:people|students|would|may|might|might|readers)?",
        r"(?:one|you|"
        r"people|students|readers|someone) (?:might|may|could|would|often)",
        r"common(?:ly)? (?:mistake|wrong|misconception|trap|error)",
        "would(?: also)? (?:assume|expect|think|guess)",
        "at a glance",
        "it (?:looks|seems|looked|seemed|sounds) like",
    ),
    _I,
)
SECOND = re.compile(
    worded(
        "second(?:-| )?best",
        "(?:close|distant) second",
        "second(?: \\w+)? (?:choice|place|pick|guess|option|likely|closest)?",
        "runners?(?:-| )?up",
        "backup",
        "next best",
        "fallback",
        "followed by",
        "(?:comes|is|in) (?:second|third)",
        "third",
        "other contender",
        "close contender",
        "next most \\w+",
        "after that",
        "then comes",
        "alternative",
        "honou?rable mention",
        "worst",
    ),
    _I,
)
SECOND_AFTER = re.compile(rf"{AFTER}[^,.;]{{0,40}}" + SECOND.pattern, _I)
TURN = re.compile(r"\s*(?:but|so|however|now)\b", _I)
IDLE = re.compile(
    r"[\W_]|\b(?:yes|ok|okay|then|final|definitely|probably|likely|i|guess|clearly|option|and|so|the|one)\b", _I
)
DOUBTS = re.compile(
    worded(
        r"(?:could|might|may|can)(?: also| just as well| as well| well| possibly| even|"
        r" conceivably)* be",
        "possibly",
        "perhaps",
        "maybe",
        "torn between",
        "between",
        "toss-up",
        "candidates? (?:is|are)",
    ),
    _I,
)
WHETHER = re.compile(r"\bwhether\b", _I)
IF = re.compile(
    rf"{AFTER}(?:if(?! I\b| (?:memory|you ask))|unless|provided|assuming|depending|in case|when (?:the|we|"
    rf"it)|otherwise)\b",
    _I,
)
CLAUSE = re.compile(
    r"[,;；，]\s*|\s[–—-]\s|[()]|[:：](?=\s)|\s{1,4}(?=(?:so|but|because|since|whereas|while|although|though|and|hence|"
    r"thus|therefore|which|making|leaving|yet|however)\b)",
    _I,
)
SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")
MENTION = re.compile(GROUP)
GOOD_MARK, BAD_MARK = "✓✔✅☑👍🟢", "✗✘❌×🚫👎🔴❎"
LABEL = re.compile(
    rf"^(?P<before>[ \t>|•#*\d.\-–({GOOD_MARK}{BAD_MARK}\ufe0f]{{0,24}}(?:\[[ xX✓]?\])?[ \t]{{0,4}})"
    rf"(?P<letter>{ONE})\)?[ \t]{{0,4}}(?P<mark>[:.)|]|"
    rf""
    rf"[-–—=](?=\s)|(?=[ \t]*[{GOOD_MARK}{BAD_MARK}])|(?=[ \t]*$))(?P<rest>.*)$",
    re.MULTILINE,
)
TRUE = re.compile(
    rf"^\W*(?:(?:this|it|that)(?: one| option| statement)? )?(?:is )?(?:the )?(?:true|correct|right|yes|"
    rf"valid|holds|best|supported|fits|matches|works|richtig|wahr|正确|对)\b|[{GOOD_MARK}]|^\s*正确|^\W*t\W*$",
    _I,
)
FALSE = re.compile(
    rf"^\W*(?:(?:this|it|that)(?: one| option| statement)? )?(?:is )?(?:false|incorrect|wrong|no|not|"
    rf"invalid|eliminated?|ruled out|out|fails?|unlikely|untrue|unsupported|irrelevant|implausible|impossible|falsch|错误?|"
    rf"contradict\w*|cannot|can['’]t|doesn['’]t|does not|too)\b|[{BAD_MARK}]|^\s*错|^\W*f\W*$",
    _I,
)
TRUE_END = re.compile(
    r"(?:\b(?:this|that|it|which)(?: one| option| statement| choice)? (?:is|must be|"
    r"seems) (?:\w+ly )?(?:the )?(?:correct|right|true|best|answer|accurate)|[→:(=–—-]\s*(?:correct|true|right|"
    r"yes))\b[^.\n]{0,30}[.!)\s]*\Z",
    _I,
)
FALSE_END = re.compile(
    r"(?:\b(?:this|that|it|which)(?: one| option| statement| choice)? (?:is|can|does|must|would|seems?|has)(?:n['’]t| not|"
    r"[ \t]+(?:\w+ly )?(?:incorrect|false|wrong|unlikely|too|not|out|untrue|impossible))"
    r"|[→:(=–—-]\s*(?:incorrect|false|wrong|no|not|eliminated?|ruled out)\b|\b(?:ruled out|eliminated|is wrong|"
    r"is incorrect|is false)\b)[^\n]{0,80}\Z",
    _I,
)
RANKED = re.compile(rf"{ONE}(?:\s*(?:>+|≻|›)\s*{ONE}){{1,25}}")
RANKING = re.compile(
    rf"\b(?:rank\w*|order(?:ed)?|likelihood|most to least|"
    rf"best to worst)\b[^\n.]{{0,80}}?({ONE})[\s,]*{ONE}[\s,]*{ONE}",
    _I,
)
INLINE = re.compile(  # an option of a list on one line: "(A) False (B) True"
    rf"(?P<letter>{ONE})\)?[ \t]*[:.=–?-]?[ \t]*(?P<word>true|false|yes|no|correct|incorrect|right|wrong|[{GOOD_MARK}{BAD_MARK}])"
    r"(?=[ \t,;|./]*(?:\Z|\n|\W))",
    _I,
)
WRONG_ONES = re.compile(  # "Wrong answers: A, C, D."
    rf"\b(?:wrong|incorrect|false|eliminated|ruled out|excluded|not correct)(?: (?:options?|answers?|choices?|ones|letters?))?"
    rf"[*_]*[ \t]*[:=][*_]*[ \t]*(?P<letters>{GROUP})(?=[\W_]*(?:\Z|\n|[.;]))",
    _I,
)
ALL_BUT = re.compile(  # "everything except B is false": the option that remains
    rf"\b(?:all|every\w*|each|any\w*|the others)\b[^\n.!?]{{0,30}}\b(?:but|except(?: for)?|other than|apart from|save)\b"
    rf"{FILL}({ONE})"
    r"[^\n.!?]{0,20}\b(?:false|wrong|incorrect|excluded|eliminated|ruled out|impossible|out|fails?)\b",
    _I,
)
REVERSED = re.compile(r"\b(?:least to most|worst to best|ascending|increasing)\b", _I)
