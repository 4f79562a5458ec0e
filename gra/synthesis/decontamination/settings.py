"""Settings of `synthesis.decontaminate`: the benchmarks that samples are compared with, and the length of word runs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gra.settings import Settings


class BenchmarkFile(Settings):
    """A JSON lines file (gzip or not) with your own benchmark items, and the names of its fields."""

    path: str = Field(description="The file.")
    name: str | None = Field(None, description="Name in reports; null: the file's name without endings.")
    question: str = Field("question", description="Field of the question.")
    answer: str | None = Field(None, description="Field of the answer; null: only the question is compared.")
    id: str | None = Field(None, description="Field of the item's id; null: the line's number.")


class DecontaminateSettings(Settings):
    """Settings of decontamination; ngram_index.py explains the numbers and gives their sources."""

    enabled: bool = Field(True, description="Compare samples with benchmarks; false: not, and the card says so.")
    data_dir: str | None = Field(
        None, description="Folder of benchmarks in the hub's layout (as suite.data_dir); null: none."
    )
    benchmarks: tuple[str, ...] | None = Field(None, description="Folders of data_dir to compare with; null: all.")
    splits: Literal["scored", "all"] = Field(
        "scored", description="The scored splits, or all (few-shot and training splits too)."
    )
    files: tuple[BenchmarkFile, ...] = Field((), description="Further files with items.")
    ngram: int = Field(13, ge=2, le=100, description="Words per run, for items of at least this length (GPT-3).")
    short_ngram: int | None = Field(
        8, ge=2, le=100, description="Words per run for shorter items; null: these are compared whole."
    )
    min_words: int = Field(5, ge=2, le=100, description="Words of the shortest question that is compared whole (NS).")
    max_items: int | None = Field(10, ge=1, description="A run that more items share is boilerplate; null: no limit.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        shorter = self.ngram if self.short_ngram is None else self.short_ngram
        if shorter > self.ngram:
            raise ValueError(f"short_ngram {shorter} is longer than ngram {self.ngram}")
        if self.min_words > shorter:
            raise ValueError(f"min_words {self.min_words} is more than the shortest n-gram, {shorter}")
        return self
