"""Settings of `synthesis.decontaminate`: with which benchmarks samples are compared, and how many consecutive words
count as a match."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gra.settings import Settings


class BenchmarkFile(Settings):
    """A JSON Lines file (it can be gzipped) with the user's own benchmark items, and the names of its fields."""

    path: str = Field(description="Path of the file.")
    name: str | None = Field(None, description="Name in reports; null: the file's name without its suffixes.")
    question: str = Field("question", description="Field of the question.")
    answer: str | None = Field(None, description="Field of the answer; null: only the question is compared.")
    id: str | None = Field(None, description="Field of the item's id; null: the line's number.")


class DecontaminateSettings(Settings):
    """Settings that decide how GRA finds samples that contain part of a benchmark item.
    gra/synthesis/decontamination/ngram_index.py gives the sources of the default numbers."""

    enabled: bool = Field(
        True, description="true: compare samples with benchmarks; false: skip this and say so in the data card."
    )
    data_dir: str | None = Field(None, description="Folder of benchmark files, as suite.data_dir; null: none.")
    benchmarks: tuple[str, ...] | None = Field(
        None, description="Folders in `data_dir` to compare with, e.g. [gsm8k, mmlu]; null: all."
    )
    splits: Literal["scored", "all"] = Field(
        "scored",
        description="Splits to compare with. scored: those that are scored; all: also few-shot and training splits.",
    )
    files: tuple[BenchmarkFile, ...] = Field((), description="Files with your own benchmark items.")
    ngram: int = Field(
        13,
        ge=2,
        le=100,
        description="Length in words of the n-gram that makes a sample contaminated (13, as in GPT-3). It counts in answers, "
        "and in questions that are at least this long.",
    )
    short_ngram: int | None = Field(
        8,
        ge=2,
        le=100,
        description="As `ngram`, for questions of fewer than `ngram` words; null: such a question must match as a whole.",
    )
    min_words: int = Field(
        5, ge=2, le=100, description="Length in words of the shortest question that is compared (NS)."
    )
    max_items: int | None = Field(
        10,
        ge=1,
        description="n-grams shared by more items than this are ignored as boilerplate; null: none is ignored.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        shorter = self.ngram if self.short_ngram is None else self.short_ngram
        if shorter > self.ngram:
            raise ValueError(f"short_ngram {shorter} is longer than ngram {self.ngram}")
        if self.min_words > shorter:
            raise ValueError(f"min_words {self.min_words} is more than the shortest n-gram, {shorter}")
        return self
