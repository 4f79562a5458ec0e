"""Can a model tell tasks from other texts? The question of synthesis.scoring=probability, on instructions read by people.

    python -m benchmarks.task_checks results/small results/small/first_run --base-url http://127.0.0.1:8000/v1 --model NAME

Items: the instructions that models wrote in the readings of these folders (reading_*_sheet.jsonl with its key), where all readers
give the same label `task`. A Yes/No question each, with the examples that the product shows (seeds of --seeds) and with others,
in other words, and several of them together (the mean of their log-odds). Then the classifier of synthesis.task_labels, learned
from the same labels and cross-validated, alone and with the product's question. Printed are the AUC with a 95 % interval, and how
many of the best-scored instructions are not tasks: the best that a threshold could reach.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean

import aiohttp

from benchmarks.judging import Form, judge, log_odds, mean_score
from benchmarks.readings import agreed
from gra.synthesis.committee.records import Record
from gra.synthesis.probe.auc import auc
from gra.synthesis.probe.items import UNKNOWN, Item
from gra.synthesis.scoring import probability
from gra.synthesis.scoring.examples import NONE, Example, Examples, Shelf
from gra.synthesis.seeds.load import SeedSettings, load_seeds
from gra.synthesis.task_filter.classifier import cross_validated
from gra.synthesis.task_filter.label_files import Labelled

BEST = (10, 20, 30)
DRAWS = 6  # of examples, whose answers are also taken together
WRITTEN = (  # texts like those that small models write, made up for this benchmark
    "How much 12 more will be after 9 days?",
    "Which of these numbers is the largest?",
    "A cat sleeps. What color will it be?",
    "In the role of the baker, be a friendly person.",
)


@dataclass(frozen=True)
class Question:
    """The examples that are shown, and the question in other words than the product's. `flaw`: Yes means that it is no task."""

    examples: Examples
    words: str = probability.SOUND
    flaw: bool = False

    def messages(self, instruction: str) -> probability.Messages:
        """The chat about one instruction."""
        chat = probability.instruction_messages(instruction, self.examples)
        other = dict(zip(probability.CHOICES, reversed(probability.CHOICES), strict=True)) if self.flaw else {}
        return tuple(
            {**turn, "content": other.get(turn["content"], turn["content"].replace(probability.SOUND, self.words))}
            for turn in chat
        )


def labelled(folders: Sequence[Path]) -> dict[str, bool]:
    """Return whether each instruction is a task, for those that all readers of all folders label alike."""
    return agreed(folders, lambda row: str(row["instruction"]), lambda row: row["task"])


def forms(records: Sequence[Record]) -> dict[str, list[Question]]:
    """The questions of each form."""
    draws = [Shelf(seed, records).examples(1, UNKNOWN) for seed in range(DRAWS)]
    good = [one for one in draws[0].instructions if one.good]
    pairs = zip([*good, *good], WRITTEN, strict=False)
    written = tuple(chain.from_iterable((one, Example(text, "", good=False)) for one, text in pairs))
    sense = Question(draws[0], "Does this instruction make sense? Yes or No.")
    person = Question(draws[0], "Could a person do this without asking anything back? Yes or No.")
    wrong = Question(draws[0], "Is something missing or wrong in this instruction? Yes or No.", flaw=True)
    return {
        "examples of the product": [Question(draws[0])],
        **{f"another draw of them ({n})": [Question(draws[n])] for n in range(1, DRAWS)},
        f"the {DRAWS} draws together": [Question(draw) for draw in draws],
        "does it make sense": [sense],
        "could a person do it": [person],
        "is something missing or wrong": [wrong],
        "draws and questions together": [*map(Question, draws), sense, person, wrong],
        "non-tasks written by hand": [Question(Examples((), written))],
        "no examples": [Question(NONE)],
    }


async def asked(url: str, model: str, question: Question, texts: Sequence[str]) -> list[float | None]:
    """The log-odds that each instruction is a task."""
    form = Form(lambda name, item: [probability.request(name, question.messages(item.instruction), 0)], mean_score)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        items = [Item(str(n), "task", str(n), UNKNOWN, text, "", right=True) for n, text in enumerate(texts)]
        found = [(await judge(session, url, form, model, item))["score"] for item in items]
    odds = [None if score is None else log_odds(score) for score in found]
    return [None if one is None else -one for one in odds] if question.flaw else odds


def together(found: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean of the questions' log-odds for each instruction; None where one is missing."""
    known = ([one for one in each if one is not None] for each in zip(*found, strict=True))
    return [fmean(each) if len(each) == len(found) else None for each in known]


def learned(tasks: Mapping[str, bool]) -> list[float | None]:
    """The log-odds that each instruction is a task, by a classifier that has learned the others' labels."""
    labelled = Labelled(
        tuple(t for t, task in tasks.items() if task), tuple(t for t, task in tasks.items() if not task)
    )
    found = cross_validated(labelled) or {}
    return [log_odds(10 * found[text]) if text in found else None for text in tasks]


def row(name: str, found: Sequence[float | None], tasks: Sequence[bool]) -> str:
    """One line of the table."""
    known = [(score, task) for score, task in zip(found, tasks, strict=True) if score is not None]
    area = auc([score for score, _ in known], [task for _, task in known], range(len(known)))
    best = [task for _, task in sorted(known, reverse=True)]
    among = ", ".join(f"{best[:count].count(False)} of {count}" for count in BEST if count <= len(best))
    return f"| {name} | {len(known)} | {'-' if area is None else area} | {among} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with readings")
    parser.add_argument("--seeds", default="conf/seeds/starter.jsonl", help="a file of seeds, for the examples")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    tasks = labelled(options.folders)
    print(f"{len(tasks)} instructions, {list(tasks.values()).count(False)} of them no tasks\n")
    print("| form | items | AUC | non-tasks among the best-scored |\n| --- | --- | --- | --- |", flush=True)
    seeds = load_seeds(SeedSettings(path=options.seeds), 0).seeds
    records = [Record(s.id, s.instruction, s.response, UNKNOWN, s.keywords, "") for s in seeds]
    known: dict[Question, list[float | None]] = {}
    questioned = forms(records)
    for name, questions in questioned.items():
        for one in questions:
            if one not in known:
                known[one] = asyncio.run(asked(options.base_url, options.model, one, list(tasks)))
        print(row(name, together([known[one] for one in questions]), list(tasks.values())), flush=True)
    own, product = learned(tasks), known[questioned["examples of the product"][0]]
    for name, found in {"classifier": [own], "classifier and product": [own, product]}.items():
        print(row(name, together(found), list(tasks.values())), flush=True)


if __name__ == "__main__":
    main()
