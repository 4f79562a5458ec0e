"""Results of the API functions: the folders of stages, with their contents as objects."""

from __future__ import annotations

import html
import io
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra import labels, unfinished
from gra.errors import StoreError
from gra.fileio import write_text

if TYPE_CHECKING:
    from datasets import Dataset


class Report(str):
    """A summary of a folder, as text. A notebook shows the page report.html instead of the text.

    `path`: the path of the page.
    """

    path: Path

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 640px; border: 0"></iframe>'


class Folder:
    """A finished folder that a stage wrote.

    `folder`: the path of the folder.
    `simulated`: whether it was made with simulated models or from simulated texts.
    """

    def __init__(self, folder: str | Path):
        """Open `folder`. Raises StoreError if it is not a finished folder of a stage."""
        self.folder = Path(folder).absolute()
        if not (self.folder / labels.MANIFEST).is_file():
            raise StoreError(unfinished.told(self.folder, "give the folder that a call or a command of gra made"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def simulated(self) -> bool:
        return labels.simulated([self.folder])

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The config, the inputs' hashes, the versions and the metrics of the step."""
        return dict(self.json(labels.MANIFEST))

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.manifest.get("metrics") or {})

    def text(self, name: str) -> str:
        """Return the content of a text file of the folder. Raises StoreError if it cannot be read."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{self.folder / name}: cannot be read ({error})\n    -> run the step again, or restore the file"
            ) from error

    def json(self, name: str) -> Any:
        """Return the content of a JSON file of the folder. Raises StoreError if it cannot be read."""
        try:
            return json.loads(self.text(name))
        except ValueError as error:
            raise StoreError(
                f"{self.folder / name}: not JSON ({error})\n    -> run the step again, or restore the file"
            ) from error

    def table(self, name: str) -> Dataset:
        """Return the parquet file `name` of the folder as a `Dataset`. Raises StoreError if the file cannot be read."""
        from datasets import Dataset
        from pyarrow import parquet

        try:
            return Dataset(parquet.read_table(self.folder / name))
        except OSError as error:
            raise StoreError(f"{self.folder / name}: cannot be read: {error}\n    -> make the folder again") from error

    def report(self) -> Report:
        """Write the page report.html and return a summary of the folder as text. `gra report` writes the same page.

        The page is about this folder and the folders that this folder was made from. The attribute `path` of the
        summary is the path of the page. Raises StoreError if the page cannot be written.
        """
        from gra.compare.report.command import NAME, report
        from gra.compare.report.folders import arms_of
        from gra.simulation.world import judge

        arms = arms_of([str(self.folder)])
        path = self.folder / NAME
        try:
            write_text(path, report(arms, judge=judge))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}\n    -> gra report {self.folder} --output FILE") from error
        made = Report(self._summary())
        made.path = path
        return made

    def _summary(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.metrics.items())


class Data(Folder):
    """A data folder: what the committee kept and what it dropped."""

    @cached_property
    def dataset(self) -> Dataset:
        """The samples to train on, read from data/train.parquet. The folder's README.md describes the columns."""
        return self.table("data/train.parquet")

    @cached_property
    def rejected(self) -> Dataset:
        """The proposals that were dropped, each with its `reason`."""
        return self.table("rejected.parquet")

    @cached_property
    def stats(self) -> dict[str, Any]:
        """All counts of the run (stats.json): funnel, replies, health of the committee, tokens."""
        return dict(self.json("stats.json"))

    @property
    def card(self) -> str:
        """The data card, in Markdown (README.md)."""
        return self.text("README.md")

    def _summary(self) -> str:
        """Return the summary that `gra inspect` prints: kept and dropped proposals, reasons, models, files."""
        from rich.console import Console

        from gra.synthesis.output.inspect_summary import show_summary, summary

        page = io.StringIO()
        show_summary(summary(self.folder), Console(file=page, width=110, highlight=False))
        return page.getvalue()


class Probe(Folder):
    """The folder of a probe, which tests whether the models can tell right answers from wrong ones.

    `result`: all numbers that the probe measured.
    `faults`: the reasons not to run this committee, one sentence each.

    There are three possible reasons:
    - No model distinguishes right from wrong answers better than chance.
    - The committee's review accepts no answer.
    - The committee's review accepts wrong answers at least as often as right ones.
    """

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of probe.json."""
        return dict(self.json("probe.json"))

    @property
    def faults(self) -> list[str]:
        return list(self.result["faults"])

    def _summary(self) -> str:
        """Return what `gra probe` prints: a line per model, the verdict in words, and each fault after "WARNING"."""
        return self.text("probe.txt")


class TrainedModel(Folder):
    """The folder of a trained model.

    `path`: the folder to pass to `from_pretrained`. It holds a Transformers model or an adapter.
    """

    @property
    def path(self) -> Path:
        return self.folder / "model"


class Scores(Folder):
    """The folder of an evaluation, which scored a model on benchmarks.

    `scores`: the scores of each benchmark.
    `samples`: the prompt, the reply and the scores of each benchmark question.
    """

    @cached_property
    def scores(self) -> dict[str, Any]:
        """The content of scores.json.

        Its key `tasks` maps each benchmark to its scores, its number of items (questions) and its group. The score
        `value` is the strict score: an answer counts only if it is right and in the format that the benchmark asks for.
        """
        return dict(self.json("scores.json"))

    @cached_property
    def samples(self) -> Dataset:
        """The content of samples.parquet, with one row for each item (question) of the benchmarks.

        A row has the prompt, the reply, the answer that was extracted from the reply, and the scores.
        """
        return self.table("samples.parquet")


def load(folder: str | Path) -> Folder:
    """Return a finished folder as an object of the class that fits its content.

    The classes are `Data`, `Scores`, `TrainedModel`, `Probe` and, for any other content, `Folder`. Raises StoreError if
    the folder is not finished.
    """
    place = Path(folder)
    kinds = (("data/train.parquet", Data), ("scores.json", Scores), ("model", TrainedModel), ("probe.json", Probe))
    for name, kind in kinds:
        if (place / name).exists():
            return kind(place)
    return Folder(place)
