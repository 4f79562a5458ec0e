"""Defines the form of the reply to each prompt as a pydantic model; `json_schema` returns the schema that is sent as
`response_format`.

Texts have a maximum length, because under constrained decoding a weak model would otherwise never end them. Values are
not converted: the scores "9" (a text), 9.5 and 11 are invalid. So a reply that cannot be understood becomes a missing
verdict, never a wrong one.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Brief = Annotated[str, StringConstraints(strip_whitespace=True, max_length=600)]
Work = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1500)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]
Score = Annotated[StrictInt, Field(ge=0, le=10)]
Domain = Literal["coding", "mathematics", "question answering", "reasoning", "role-play", "language", "creation"]
ThreeKeywords = Annotated[list[Short], Field(min_length=3, max_length=3)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Keywords(_Form):
    """Reply of `keywords.jinja`."""

    keywords: ThreeKeywords


class Instruction(_Form):
    """Reply of `instruction.jinja`."""

    instruction: Text


class Judgement(_Form):
    """Base class of the replies that judge a sample. Their texts never become part of a sample, but the adjudicator may
    see them."""


class InstructionCheck(Judgement):
    """Reply of `check.jinja`: three yes/no verdicts on the instruction."""

    reasonableness: StrictBool
    completeness: StrictBool
    clarity: StrictBool
    comment: Comment = ""


class ResponseReview(Judgement):
    """The reply to the prompts `review.jinja` and `adjudicate.jinja` of the edition `classic` (one of the two built-in
    sets of prompts). The reply has written feedback, then six integers from 0 to 10."""

    strengths: Comment
    weaknesses: Comment
    correctness: Score
    clarity: Score
    completeness: Score
    relevance: Score
    coherence: Score
    ethicality: Score


class AnalysedCheck(Judgement):
    """Reply of `check.jinja` in the edition `turns`: an analysis, then the three verdicts."""

    analysis: Brief
    reasonableness: StrictBool
    completeness: StrictBool
    clarity: StrictBool

    @property
    def comment(self) -> str:
        """The text of the field `analysis`. The edition `classic` (the other set of prompts) calls this text `comment`,
        so callers can use this name for both editions."""
        return self.analysis


class WeighedReview(Judgement):
    """The reply to the prompts `review.jinja` and `adjudicate.jinja` of the edition `turns` (one of the two built-in
    sets of prompts). The reply has weaknesses, then strengths, and the scores last."""

    weaknesses: Brief
    strengths: Brief
    correctness: Score
    clarity: Score
    completeness: Score
    relevance: Score
    coherence: Score
    ethicality: Score


class SolvedReview(WeighedReview):
    """A `WeighedReview` in which the judge first writes its own answer to the instruction (`synthesis.solve`)."""

    own_answer: Work


class Annotation(_Form):
    """Reply of `annotate.jinja`: the metadata of a kept sample."""

    keywords: ThreeKeywords
    summary: Line


class SeedAnnotation(_Form):
    """Reply of `annotate_seed.jinja`: a seed's domain, three keywords and one-line summary."""

    domain: Domain
    keywords: ThreeKeywords
    summary: Line


FORMS: dict[str, type[_Form]] = {
    "keywords": Keywords,
    "instruction": Instruction,
    "check": InstructionCheck,
    "review": ResponseReview,
    "adjudicate": ResponseReview,
    "annotate": Annotation,
    "annotate_seed": SeedAnnotation,
}  # `respond` is free text
_SECOND: dict[str, type[_Form]] = {
    **FORMS,
    "check": AnalysedCheck,
    "review": WeighedReview,
    "adjudicate": WeighedReview,
}
_REVIEWS = ("review", "adjudicate")


def form_of(step: str, style: str = "classic", solve: bool = False) -> type[_Form] | None:
    """Return the pydantic model into which a reply to `step` is parsed, or None if the reply is free text. `style`: how
    replies to the prompt are read (prompts.Style). `solve`: the setting `synthesis.solve`."""
    if style == "classic":
        return FORMS.get(step)
    return SolvedReview if solve and step in _REVIEWS else _SECOND.get(step)


@cache
def json_schema(step: str, style: str = "classic", solve: bool = False) -> dict[str, Any] | None:
    """Return the JSON schema that is sent for `step`, or None if the reply is plain text. The schema requires all
    fields, in the order in which the model must write them, and allows no others. Do not modify the returned schema,
    because it is cached."""
    form = None if style == "text" else form_of(step, style, solve)
    if form is None:
        return None
    schema = form.model_json_schema()
    schema.pop("description", None)
    schema["additionalProperties"] = False
    if form is SolvedReview:  # pydantic puts the parent's fields first, but the own answer must be written first
        schema["properties"] = {"own_answer": schema["properties"].pop("own_answer"), **schema["properties"]}
    schema["required"] = list(schema["properties"])
    for field in schema["properties"].values():
        field.pop("title", None)
        field.pop("default", None)
    return schema
