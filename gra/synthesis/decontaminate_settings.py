"""The mapping `synthesis.decontaminate`: which benchmarks samples are compared with, and by which word runs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gra.settings import Settings


class BenchmarkFile(Settings):
    """A JSON lines file (gzip or not) with benchmark items of your own, and the names of its fields."""

    path: str
    name: str | None = Field(None, description="Name in reports; null: the file's name without endings.")
    question: str = "question"
    answer: str | None = Field(None, description="null: the question alone is compared.")
    id: str | None = Field(None, description="null: the line's number.")


class DecontaminateSettings(Settings):
    """Settings of decontamination; gra/synthesis/decontaminate.py says what the numbers do and where they are from."""

    enabled: bool = Field(True, description="false: nothing is compared, and the card says so.")
    data_dir: str | None = Field(None, description="Folder of benchmarks as the hub has them (as suite.data_dir); null: none.")
    benchmarks: tuple[str, ...] | None = Field(None, description="Folders of data_dir to compare with; null: all it has.")
    splits: Literal["scored", "all"] = Field("scored", description="The splits that are scored, or few-shot and training ones too.")
    files: tuple[BenchmarkFile, ...] = Field((), description="Further files with items.")
    ngram: int = Field(13, ge=2, le=100, description="Words of a run, for items that have so many (GPT-3).")
    short_ngram: int | None = Field(8, ge=2, le=100, description="Words of a run for shorter items; null: these compare whole.")
    min_words: int = Field(5, ge=2, le=100, description="Shortest question that is compared whole (NS).")
    max_items: int | None = Field(10, ge=1, description="Runs that more items share are boilerplate; null: no limit.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        shorter = self.ngram if self.short_ngram is None else self.short_ngram
        if shorter > self.ngram:
            raise ValueError(f"short_ngram {shorter} is longer than ngram {self.ngram}")
        if self.min_words > shorter:
            raise ValueError(f"min_words {self.min_words} is more than the shortest n-gram, {shorter}")
        return self
