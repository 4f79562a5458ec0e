"""IFEval: replies that follow many of its instructions by construction, and lm-eval's checks called one by one.

Instructions that are not built for (a number of paragraphs, a letter's frequency, another language ...) are mostly not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FILLER = "the people of this old town like to talk about the weather and about the things that they have seen"
_ALONE = {
    "detectable_format:constrained_response": "My answer is yes.",
    "detectable_format:json_format": '{"so": "it is"}',
}


def followed(doc: Mapping[str, Any]) -> str:
    """A reply made for the instructions of an item."""
    given = dict(zip(doc["instruction_id_list"], doc["kwargs"], strict=True))

    def of(name: str, key: str, default: Any = 0) -> Any:
        value = given.get(name, {}).get(key)
        return default if value is None else value

    for name, text in _ALONE.items():
        if name in given:
            return text
    lines = ["<<so it is>>"] if "detectable_format:title" in given else []
    lines += [f"- {FILLER}" for _ in range(of("detectable_format:number_bullet_lists", "num_bullets"))]
    lines += [f"*part {n} of it*" for n in range(of("detectable_format:number_highlighted_sections", "num_highlights"))]
    lines += [f"[place {n}]" for n in range(of("detectable_content:number_placeholders", "num_placeholders"))]
    lines += [" ".join(of("keywords:existence", "keywords", []))]
    lines += [of("keywords:frequency", "keyword", "")] * of("keywords:frequency", "frequency")
    words = of("length_constraints:number_words", "num_words")
    if of("length_constraints:number_words", "relation", "") == "at least":
        lines += [FILLER] * (words // len(FILLER.split()) + 1)
    sentences = of("length_constraints:number_sentences", "num_sentences")
    if of("length_constraints:number_sentences", "relation", "") == "at least":
        lines += [f"{FILLER.capitalize()}."] * sentences
    lines += [f"{FILLER}."] * ("detectable_format:number_bullet_lists" not in given)
    if "detectable_content:postscript" in given:
        lines += [f"{of('detectable_content:postscript', 'postscript_marker', 'P.S.')} so it is"]
    lines += [of("startend:end_checker", "end_phrase", "")]
    text = "\n".join(line for line in lines if line)
    if "change_case:english_lowercase" in given:
        text = text.lower()
    if "change_case:english_capital" in given:
        text = text.upper()
    return f'"{text}"' if "startend:quotation" in given else text


def checked(doc: Mapping[str, Any], reply: str) -> tuple[int, int]:
    """Whether a reply follows all instructions of an item: strictly, and loosely: each on the reply or on what is left of it
    without its first line, its last, or both, and without asterisks."""
    from gra.eval.scoring import ifeval

    ifeval.prepare()
    from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

    lines = reply.split("\n")
    parts = ["\n".join(lines[start:end]).strip() for start, end in ((1, None), (None, -1), (1, -1))]
    texts = [reply, *parts]
    texts += [text.replace("*", "") for text in texts]

    def follows(place: int, text: str) -> bool:
        name = doc["instruction_id_list"][place]
        check = INSTRUCTION_DICT[name](name)
        check.build_description(**{key: value for key, value in doc["kwargs"][place].items() if value})
        if "prompt" in (check.get_instruction_args() or {}):
            check.build_description(prompt=doc["prompt"])
        return bool(text.strip()) and bool(check.check_following(text))

    places = range(len(doc["instruction_id_list"]))
    return int(all(follows(p, reply) for p in places)), int(
        all(any(follows(p, text) for text in texts) for p in places)
    )
