"""Defines the `synthesis` config group. Every choice in the method is a named option, including choices that no source
settles.

Defaults follow the paper where it states them; "NS" (not stated) marks the other defaults. Source: arXiv 2504.12322,
sections on roles, generator, reviewers, adjudicator, post-processing and iterations.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from gra.settings import Settings
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.dedup.near_duplicates import DedupSettings

MOST_PROPOSALS = 20  # maximum number of proposals per wanted sample, if `max_proposals` is null


class Decoding(Settings):
    """Decoding parameters of one step. `max_tokens` limits the reply, not the prompt."""

    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature; 0: greedy (NS).")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Nucleus sampling: tokens are drawn from the smallest set with this probability mass (NS).",
    )
    max_tokens: int = Field(1024, ge=1, description="Longest reply in tokens (NS).")


class DecodingBySteps(Settings):
    """Decoding parameters of each step of the synthesis. The GRA paper does not state them. By default, the replies are
    sampled in the steps that write text, and decoded greedily in the steps that judge or annotate."""

    annotate_seed: Decoding = Field(Decoding(max_tokens=256), description="Domain, keywords and summary of a seed.")
    keywords: Decoding = Field(
        Decoding(temperature=0.9, top_p=0.95, max_tokens=256), description="The generator's keywords for a new sample."
    )
    instruction: Decoding = Field(
        Decoding(temperature=0.9, top_p=0.95, max_tokens=1024), description="The generator's instruction."
    )
    respond: Decoding = Field(
        Decoding(temperature=0.7, top_p=0.95, max_tokens=2048), description="The generator's response."
    )
    check: Decoding = Field(Decoding(max_tokens=512), description="A reviewer's check of the instruction.")
    review: Decoding = Field(Decoding(max_tokens=1024), description="A reviewer's scores of the response.")
    adjudicate: Decoding = Field(Decoding(max_tokens=1024), description="The adjudicator's decision.")
    annotate: Decoding = Field(Decoding(max_tokens=256), description="Keywords and summary of a kept sample.")


class SynthesisSettings(Settings):
    """How the committee writes, checks and reviews samples."""

    rounds: int = Field(
        5, ge=1, description="Number of rounds. The samples kept in a round become example records for the next."
    )
    samples_per_round: int = Field(
        10_000, ge=1, description="Number of samples to keep in each round, counted after dedup (NS)."
    )
    max_proposals: int | None = Field(
        None, ge=1, description="Limit on proposals in each round; null: 20 times `samples_per_round` (NS)."
    )
    reviewers: int = Field(3, ge=1, description="Number of reviewers per sample; the paper's figures show three (NS).")
    min_reviews: int = Field(
        2, ge=1, description="Fewest usable reviews per sample; with fewer, the adjudicator decides (NS)."
    )
    tau: float = Field(8.0, ge=0, le=10, description="Lowest mean reviewer score at which a sample is accepted.")
    delta: float = Field(
        1.5, ge=0, description="Standard deviation of the reviewers' scores above which a sample is disputed."
    )
    composite: Literal["mean", "median", "min", "correctness"] = Field(
        "mean",
        description="How a reviewer's six scores become one. mean, median, min: of the six; correctness: that score alone.",
    )
    std: Literal["population", "sample"] = Field(
        "population",
        description="Which standard deviation `delta` is compared with. population: divided by n; sample: by n - 1 (NS).",
    )
    roles: Literal["random", "fixed", "single", "one_generator"] = Field(
        "random",
        description="How models get roles. random: drawn for each sample; fixed: in the pool's order; single: one model has all "
        "roles; one_generator: one model generates, the other roles are drawn from the other models.",
    )
    single_model: str | None = Field(
        None,
        description="The model that has all roles (roles=single) or that generates (roles=one_generator); null: the "
        "pool's first.",
    )
    scoring: Literal["text", "probability"] = Field(
        "text",
        description="How reviewers score. text: they write a review; probability: they answer a Yes/No question, and the "
        "probability of Yes is the score.",
    )
    questions: Literal["overall", "dimensions", "likelihood"] = Field(
        "overall",
        description="Questions of scoring=probability. overall: one about the whole sample; dimensions: one for each of "
        "the six scores; likelihood: none, since the score is 10 / perplexity of the response (NS). Set calibrate=probe "
        "with likelihood: most of its scores are below 5. It needs pool=small or pool=transformers.",
    )
    check_tau: float = Field(
        5.0,
        ge=0,
        le=10,
        description="Lowest score at which a checker passes an instruction, if checkers answer a Yes/No question (NS).",
    )
    check_scoring: Literal["text", "probability"] | None = Field(
        None,
        description="How instructions are checked. text: checkers write their verdicts; probability: they answer a Yes/No "
        "question; null: as `scoring` (NS).",
    )
    checkers: list[str] | None = Field(
        None,
        min_length=1,
        description="Models that check every instruction, even their own, also with review=false; null: each instruction is "
        "checked by the reviewers of its sample (NS).",
    )
    task_labels: list[str] | None = Field(
        None,
        min_length=1,
        description="Files of instructions labelled as tasks or not, such as sheets of `gra blind`. A classifier learned from "
        "them rejects instructions that are probably no tasks; null: no classifier. gra:NAME is a file of this package (NS).",
    )
    task_threshold: float = Field(
        0.85,
        ge=0,
        le=1,
        description="Lowest probability of being a task at which the classifier passes an instruction (NS).",
    )
    calibrate: Literal["none", "probe"] = Field(
        "none",
        description="Calibration of the scores. probe: map each reviewer's scores by its results in the probe (inputs.probe); "
        "none: scores as given (NS).",
    )
    review: bool = Field(
        True,
        description="true: reviewers check instructions and score responses; false: all well-formed proposals are accepted, or, "
        "with `checkers`, those whose instruction passes.",
    )
    adjudicate: bool = Field(
        True, description="true: an adjudicator decides on disputed samples; false: `disputed` decides."
    )
    disputed: Literal["drop", "keep", "majority"] = Field(
        "drop",
        description="What happens to disputed samples without an adjudicator. majority: they are kept if most reviewers' scores "
        "reach `tau` (NS).",
    )
    parse_retries: int = Field(2, ge=0, description="Limit on retries of an unusable reply (NS).")
    shots: int = Field(
        2, ge=1, description="Number of example records shown to the generator; the paper's figures show two (NS)."
    )
    show: Literal["metadata", "full"] = Field(
        "metadata",
        description="What the generator sees of a record, with prompts=classic. metadata: keywords and summary; full: the "
        "whole record (NS).",
    )
    domains: Literal["uniform", "pool"] = Field(
        "uniform",
        description="Share of each domain in the proposals. uniform: equal; pool: in proportion to the domain's number of example "
        "records, that is seeds and kept samples (NS).",
    )
    stop_when_blind: int | None = Field(
        None,
        ge=20,
        description="Number of reviewed samples after which the run ends if the reviewers' scores say nothing about the samples; "
        "null: it only warns (NS).",
    )
    probe: Literal["warn", "refuse", "off"] | None = Field(
        None,
        description="What happens if the committee fails its probe. warn: log a warning; refuse: the probe step of an experiment "
        "ends with an error, so that no later step runs; off: no probe is made; null: warn, but off for simulated pools.",
    )
    prompts: str = Field(
        "classic",
        min_length=1,
        description="Form of the prompts. classic: one message, replies in JSON; turns: examples as turns of the conversation and "
        "replies of one line, which suits small models; or a folder with your own (docs/extending.md); null: classic.",
    )
    demonstrations: int = Field(
        3,
        ge=0,
        description="Number of example records of the domain shown as turns of the conversation, with prompts=turns (NS).",
    )
    example_sets: int | None = Field(
        None,
        ge=1,
        description="Number of sets of demonstrations for each round and domain; a call shows one of them. null: each call "
        "draws its own (NS).",
    )
    taken: int = Field(
        0,
        ge=0,
        description="Number of the domain's newest records whose keywords are listed in the prompt as already used, with "
        "prompts=turns (NS).",
    )
    thin_domain: int = Field(
        16,
        ge=0,
        description="A domain with fewer example records than this is thin: its prompts also show records of similar "
        "domains (NS).",
    )
    long_answers: int = Field(
        4,
        ge=1,
        description="A truncated response is retried with more tokens: at most this multiple of max_tokens (NS).",
    )
    slots: Literal["keep", "refuse"] = Field(
        "keep",
        description="What happens to responses with an unfilled slot, such as [Your Name], that was not requested. keep: "
        "they are used; refuse: they are retried and then dropped, like other unusable replies (NS).",
    )
    solve: Literal["always", "checkable", "never"] = Field(
        "checkable",
        description="Whether reviewers write their own answer before they score, with prompts=turns. checkable: only in "
        "domains with checkable answers (NS).",
    )
    check: Literal["unanimous", "majority"] = Field(
        "unanimous",
        description="When an instruction passes. unanimous: if no checker rejects it; majority: if half of the "
        "checkers or fewer reject it.",
    )
    dedup: DedupSettings = Field(DedupSettings(), description="Removal of near-duplicate samples.")
    decontaminate: DecontaminateSettings = Field(
        DecontaminateSettings(), description="Removal of samples that contain part of a benchmark item."
    )
    decoding: DecodingBySteps = Field(DecodingBySteps(), description="Decoding parameters of each step.")

    @field_validator("prompts", mode="before", json_schema_input_type=str | None)
    @classmethod
    def _null_is_the_default(cls, value: Any) -> Any:
        return "classic" if value is None else value  # configs of earlier versions have null

    @property
    def checks_instructions(self) -> bool:
        """Whether models check each instruction before its response is written."""
        return self.review or self.checkers is not None

    @property
    def checks_by_probability(self) -> bool:
        """Whether those who check instructions answer a Yes/No question, and do not write their verdicts."""
        return (self.check_scoring or self.scoring) == "probability"

    @property
    def scores_each_dimension(self) -> bool:
        """Whether a reviewer gives a score for each dimension, and not a single score."""
        return self.scoring == "text" or self.questions == "dimensions"

    @property
    def proposal_limit(self) -> int:
        """The largest number of proposals (attempts at a new sample) per round. If `max_proposals` is None, a round may
        end before this limit. It does so if, at its current rate of new samples, it would not reach `samples_per_round`
        within the limit (committee/stopping.py)."""
        return self.max_proposals if self.max_proposals is not None else MOST_PROPOSALS * self.samples_per_round


def decoding_of(settings: SynthesisSettings, step: str, attempt: int, cuts: int = 0) -> dict[str, Any]:
    """Return the decoding parameters for one attempt at the synthesis step `step`. The step `rewrite` of the stage
    `refine` is decoded like `respond`.

    `attempt`: the index of the attempt, from 0. If the first attempt is decoded greedily, later ones are sampled,
    because greedy decoding would repeat itself. `cuts`: how many earlier attempts gave a truncated reply. In the step
    `respond`, each truncated reply doubles `max_tokens`, up to `long_answers` times the configured value of
    `max_tokens`.
    """
    step = "respond" if step == "rewrite" else step
    decoding: Decoding = getattr(settings.decoding, step)
    temperature = decoding.temperature if attempt == 0 else max(decoding.temperature, 0.5)
    factor = min(2**cuts, settings.long_answers) if step == "respond" else 1
    return {"temperature": temperature, "top_p": decoding.top_p, "max_tokens": decoding.max_tokens * factor}
