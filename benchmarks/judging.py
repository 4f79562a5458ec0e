"""What can a model tell right from wrong by, at what cost? Written reviews against one token's probabilities, on your own server.

    python -m benchmarks.judging --seeds alpaca_data.json --base-url http://127.0.0.1:8000/v1 --model NAME
    python -m benchmarks.judging ... --forms "one token,one token (no prefix cache),written review" --items 40  # costs
    python -m benchmarks.judging --seeds conf/seeds/starter.jsonl --format auto --readings results/small results/small/first_run ...

Items: seeds with their own answer, and with a wrong one made by rule (gra/synthesis/probe/items.py), as many of each. The
seeds are parted by their ids: examples come from one part, items to choose a form by (--part tuning) from another, items to report
(--part report) from the third. With --readings, the items are samples that models wrote and that all readers call good, or all call
not good; examples then come from all seeds. AUC: how often a right answer scores higher than a wrong one, with a 95 % interval by
question. Tokens and seconds are those of one judgement, one call at a time; tokens computed: what the server did not have in its
prefix cache (`timings` of llama.cpp, else `cached_tokens`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from statistics import fmean
from typing import Any

import aiohttp

from benchmarks.readings import agreed
from gra.compare.blind.rates import good
from gra.models.base import Reply, Request
from gra.models.openai.wire import body_of, reply_from
from gra.models.pool import ModelSettings
from gra.synthesis import prompts
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import DIMENSIONS, Record, Seed
from gra.synthesis.probe.auc import auc
from gra.synthesis.probe.items import UNKNOWN, Item, Pair, by_rule
from gra.synthesis.prompts.schemas import ResponseReview, json_schema
from gra.synthesis.replies.reading import read
from gra.synthesis.scoring import probability
from gra.synthesis.scoring.examples import BUILT_IN, NONE, Shelf
from gra.synthesis.seeds.load import SeedSettings, load_seeds

PARTS = ("examples", "tuning", "report")
CONTRASTS = 3  # other instructions that a response is judged against
DRAWS = 3  # of examples, whose answers are taken together
LONGEST = (500, 600)  # characters of the instruction and of the answer of an item


@dataclass(frozen=True)
class Form:
    """How a judgement is asked for: the requests, what their replies say together (None: nothing usable), keys of the body."""

    requests: Callable[[str, Item], list[Request]]
    score: Callable[[Sequence[Reply]], float | None]
    extra: dict[str, Any] = field(default_factory=dict)


def forms_for(shelf: Shelf, draw: int = 1) -> dict[str, Form]:
    """The forms by name. `shelf`: where examples come from; `draw`: which draw of them is shown."""
    shown = shelf.examples(draw, UNKNOWN)
    several = [shelf.examples(draw + more, UNKNOWN) for more in range(DRAWS)]

    def asked(messages: Callable[[Item], probability.Messages]) -> Callable[[str, Item], list[Request]]:
        return lambda model, item: [probability.request(model, messages(item), 0)]

    def labelled(item: Item) -> probability.Messages:
        """As Question and Answer, where the product has tags."""
        question = "Does the answer respond correctly? Yes or No."
        chat = []
        for one in shown.responses:
            text = f"Question: {one.instruction.strip()}\nAnswer: {one.response.strip()}\n\n{question}"
            chat += [
                {"role": "user", "content": text},
                {"role": "assistant", "content": probability.CHOICES[0 if one.good else 1]},
            ]
        return (
            *chat,
            {"role": "user", "content": f"Question: {item.instruction}\nAnswer: {item.response}\n\n{question}"},
        )

    def product(item: Item) -> probability.Messages:
        return probability.response_messages(item.instruction, item.response, shown)

    def six(model: str, item: Item) -> list[Request]:
        chats = [probability.response_messages(item.instruction, item.response, shown, name) for name in DIMENSIONS]
        return [probability.request(model, chat, 0) for chat in chats]

    def contrasted(model: str, item: Item) -> list[Request]:
        others = [record.instruction for record in BUILT_IN[:CONTRASTS]]
        chats = [probability.response_messages(text, item.response, shown) for text in (item.instruction, *others)]
        return [probability.request(model, chat, 0) for chat in chats]

    def drawn(model: str, item: Item) -> list[Request]:
        chats = [probability.response_messages(item.instruction, item.response, each) for each in several]
        return [probability.request(model, chat, 0) for chat in chats]

    def likely(model: str, item: Item) -> list[Request]:
        chat, response = probability.likelihood(item.instruction, item.response)
        return [probability.request(model, chat, 0, forced=response)]

    one = Form(asked(product), mean_score)
    written = Form(_written, _composite)
    return {
        "one token": one,
        "one token (no prefix cache)": replace(one, extra={"cache_prompt": False}),
        "one token, texts labelled Question and Answer": Form(asked(labelled), mean_score),
        "one token, no examples": Form(
            asked(lambda i: probability.response_messages(i.instruction, i.response, NONE)), mean_score
        ),
        "one token for each dimension": Form(six, mean_score),
        f"one token, {DRAWS} draws of examples": Form(drawn, _mean_log_odds),
        "one token minus other instructions": Form(contrasted, _contrast),
        "likelihood of the response": Form(likely, lambda replies: probability.read_score(replies[0], "forced")[0]),
        "written review": written,
        "written review (no prefix cache)": replace(written, extra={"cache_prompt": False}),
    }


def _written(model: str, item: Item) -> list[Request]:
    messages = prompts.render("review", instruction=item.instruction, response=item.response)
    return [Request(model, messages, 0.0, 1.0, 1024, 0, "review", json_schema("review"))]


def _composite(replies: Sequence[Reply]) -> float | None:
    value = read("review", replies[0]).value
    return fmean(getattr(value, name) for name in DIMENSIONS) if isinstance(value, ResponseReview) else None


def mean_score(replies: Sequence[Reply]) -> float | None:
    """The mean of the replies' scores; None if one is missing."""
    scores = [probability.read_score(reply)[0] for reply in replies]
    known = [score for score in scores if score is not None]
    return fmean(known) if len(known) == len(scores) else None


def _contrast(replies: Sequence[Reply]) -> float | None:
    """The log-odds of the first reply minus the mean of the others': what the instruction adds to the response's own score."""
    odds = _log_odds(replies)
    return None if odds is None else odds[0] - fmean(odds[1:])


def _mean_log_odds(replies: Sequence[Reply]) -> float | None:
    odds = _log_odds(replies)
    return None if odds is None else fmean(odds)


def _log_odds(replies: Sequence[Reply]) -> list[float] | None:
    scores = [probability.read_score(reply)[0] for reply in replies]
    known = [log_odds(score) for score in scores if score is not None]
    return known if len(known) == len(scores) else None


def log_odds(score: float) -> float:
    """The log-odds of a score from 0 to 10, finite at its ends."""
    return log((score + 1e-4) / (10 - score + 1e-4))


def parted(seeds: Sequence[Seed], part: str) -> list[Seed]:
    """The seeds of one of PARTS that are neither empty nor too long."""
    fit = [
        s for s in seeds if s.response.strip() and len(s.instruction) <= LONGEST[0] and len(s.response) <= LONGEST[1]
    ]
    return [seed for seed in fit if stream("part", seed.id).randrange(len(PARTS)) == PARTS.index(part)]


def items_of(seeds: Sequence[Seed], part: str, kind: str, count: int) -> list[Item]:
    """`count` items, half of them right."""
    pairs = [Pair(seed.id, seed.instruction, seed.response, UNKNOWN) for seed in parted(seeds, part)]
    return by_rule(pairs, count // 2, 0, [kind])


def items_read(folders: Sequence[Path]) -> list[Item]:
    """The samples of these folders' readings; the good ones are right."""
    found = agreed(folders, lambda line: (str(line["instruction"]), str(line["response"])), good)
    return [
        Item(str(n), "good" if right else "not good", str(n), UNKNOWN, *texts, right)
        for n, (texts, right) in enumerate(found.items())
    ]


async def judge(session: aiohttp.ClientSession, url: str, form: Form, model: str, item: Item) -> dict[str, Any]:
    """The score of one item, and what it took."""
    replies, prompt, computed, written = [], 0, 0, 0
    begun = time.perf_counter()
    for request in form.requests(model, item):
        body = body_of(request, ModelSettings(name=model), structured=True, send_seed=True, extra=form.extra)
        async with session.post(
            f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            raw = await answer.read()
            answer.raise_for_status()
        replies.append(reply_from(raw, request.choices, request.forced))
        value = json.loads(raw)
        usage = value.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        prompt += usage.get("prompt_tokens") or 0
        computed += (value.get("timings") or {}).get("prompt_n", (usage.get("prompt_tokens") or 0) - cached)
        written += usage.get("completion_tokens") or 0
    seconds = time.perf_counter() - begun
    return {
        "score": form.score(replies),
        "seconds": seconds,
        "prompt": prompt,
        "computed": computed,
        "written": written,
    }


async def measure(options: argparse.Namespace, name: str, form: Form, items: Sequence[Item]) -> list[dict[str, Any]]:
    """The judgements of one form; those that stand in the output are not requested again."""
    place = {"model": options.model, "form": name, "draw": options.draw}
    lines = ({"draw": 1, **line} for line in _lines(options.output))  # lines of an older form have no draw
    known = {line["item"]: line for line in lines if {key: line[key] for key in place} == place}
    found = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        if any(item.id not in known for item in items):  # the prefix comes into the cache, the model gets warm
            await judge(session, options.base_url, form, options.model, replace(items[0], response="Nothing."))
        for item in items:
            if item.id not in known:
                line = {**place, "item": item.id, **await judge(session, options.base_url, form, options.model, item)}
                known[item.id] = line
                if options.output is not None:
                    with options.output.open("a", encoding="utf-8") as handle:
                        handle.write(json.dumps(line) + "\n")
            found.append(known[item.id])
    return found


def _lines(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def row(model: str, name: str, items: Sequence[Item], found: Sequence[dict[str, Any]]) -> str:
    """One line of the table in Markdown."""
    usable = [(line["score"], item) for line, item in zip(found, items, strict=True) if line["score"] is not None]
    area = (
        auc([s for s, _ in usable], [i.right for _, i in usable], [i.question for _, i in usable]) if usable else None
    )
    means = [fmean([s for s, item in usable if item.right is right] or [float("nan")]) for right in (True, False)]
    names = ("prompt", "computed", "written", "seconds")
    prompt, computed, written, seconds = (fmean(line[key] for line in found) for key in names)
    kind = next(item.kind for item in items if not item.right)
    unusable = "" if len(usable) == len(found) else f" ({len(found) - len(usable)} unusable)"
    return (
        f"| {model} | {name} | {kind} | {len(found)}{unusable} | {'-' if area is None else area} | {means[0]:.2f} / {means[1]:.2f} "
        f"| {computed:.0f} of {prompt:.0f} | {written:.0f} | {seconds:.2f} |"
    )


HEAD = """\
| model | form | wrong answers | items | AUC | mean, right / wrong | prompt tokens computed | written | seconds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=Path, required=True, help="a file of seeds with answers")
    parser.add_argument("--format", default="alpaca", help="its format, as seeds.format")
    parser.add_argument("--limit", type=int, default=2500, help="seeds that are drawn")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--forms", default="one token", help='by name, separated by commas, or "all"')
    parser.add_argument(
        "--kinds", default="mismatched", help="of wrong answers: mismatched, truncated, changed, negated"
    )
    parser.add_argument("--part", choices=PARTS[1:], default="report")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument(
        "--readings", type=Path, nargs="+", help="folders with readings; in place of --kinds and --part"
    )
    parser.add_argument("--draw", type=int, default=1, help="which draw of the examples is shown")
    parser.add_argument(
        "--output", type=Path, help="JSON lines, one for each judgement; the same command resumes from it"
    )
    options = parser.parse_args()
    seeds = load_seeds(SeedSettings(path=str(options.seeds), format=options.format, limit=options.limit), 0).seeds
    shown = seeds if options.readings else parted(seeds, "examples")
    records = [Record(s.id, s.instruction, s.response, UNKNOWN, (), "") for s in shown]
    forms = forms_for(Shelf(0, records), options.draw)
    print(HEAD, flush=True)
    if options.readings:
        tested = [items_read(options.readings)]
    else:
        tested = [items_of(seeds, options.part, kind, options.items) for kind in options.kinds.split(",")]
    for name in forms if options.forms == "all" else options.forms.split(","):
        for items in tested:
            found = asyncio.run(measure(options, name, forms[name], items))
            print(row(options.model, name, items, found), flush=True)


if __name__ == "__main__":
    main()
