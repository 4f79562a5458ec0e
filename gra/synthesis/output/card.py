"""Writes the data card (README.md of a data folder): header for the Hugging Face hub, number of proposals kept and
dropped, models and roles, settings, limits.

The card contains names, settings and numbers, all of them escaped for Markdown, and one sample in a code block
(card_use.py).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gra import secret_patterns
from gra.synthesis.output import card_use
from gra.synthesis.regating.words import in_words
from gra.synthesis.replies.remarks import troubles
from gra.synthesis.task_filter import classifier
from gra.terminal import count

# Licence ids of hub cards (hub docs, repositories-licenses); others are written as `other` with their name.
_LICENSE_IDS = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause "
    "bsd-3-clause c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 "
    "cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 "
    "gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense "
    "zlib pddl llama2 llama3 llama3.1 llama3.2 llama3.3 gemma unknown other"
)
LICENSES = frozenset(_LICENSE_IDS.split())
TAGS = ("synthetic", "instruction-tuning", "sft", "llm-as-a-judge", "gra", "arxiv:2504.12322")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FUNNEL = (
    ("proposals", "proposals"),
    ("instruction_rejected", "instruction rejected by its check"),
    ("rejected", "rejected for other reasons, or lost to unusable replies"),
    ("accepted", "accepted by the committee"),
    ("adjudicated", "samples that went to the adjudicator"),
    ("adjudicated_kept", "of these, kept by the adjudicator"),
    ("contaminated", "accepted, but containing a piece of a benchmark item"),
    ("duplicates", "accepted, but near-duplicates"),
    ("surplus", "accepted, but beyond the round's size"),
    ("kept", "**in `data/train.parquet`**"),
    ("missing_verdicts", "verdicts that could not be read (never counted as scores)"),
    ("calls", "model calls of these proposals and of the seeds (unneeded calls: `run.json`, `in_vain`)"),
)


@dataclass(frozen=True)
class CardInfo:
    """The content of the data card, except for the statistics. `license`: the licence of the seeds. It is None if
    unknown. `settings`: setting -> value. YAML must be able to represent the values."""

    seeds_name: str
    seeds_account: str = field(default="", kw_only=True)  # one line: number of seeds used and skipped, what is left out
    license: str | None
    models: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    simulated: bool = False
    prompts_hash: str | None = None
    decontamination: str = (
        "none, the samples are not compared with benchmarks"  # "none, WHY", or the rule and the benchmarks
    )
    title: str = "Instruction data by a committee of small language models"
    method: str = ""


def card_text(card: CardInfo, stats: Mapping[str, Any], sample: Mapping[str, Any] | None = None) -> str:
    """Return the text of README.md. `sample`: the row of train.parquet that it shows."""
    parts = [_header(card, int(stats["kept"])), f"# {plain(card.title)}"]
    if card.simulated:
        parts.append(
            "> **Simulated.** All texts and scores here come from simulated models of a closed world, not from language models."
        )
    parts += [
        *([plain(card.method, 1000)] if card.method else []),
        f"Seeds: {plain(card.seeds_name)}{_account(card)}. Run seed: {count(card.seed)}.",
    ]
    parts += [_licence(card), *_regated(stats)]
    parts += ["## Use", card_use.LOADING, *card_use.example(sample)]
    parts += [
        "## Where the proposals went",
        _funnel(stats),
        *_task_filter(stats),
        *_probe(stats),
        _decontamination(card),
        _agreement(stats),
    ]
    parts += card_use.reviewers(stats.get("health") or {}, plain)
    if card.models:
        parts += ["## Models and what they did", _models(card, stats), *_replies(stats)]
    parts += ["## Settings", _settings(card)]
    parts += ["## Files", FILES, "## Columns", card_use.columns(), "## Limits", LIMITS]
    return "\n\n".join(parts) + "\n"


FILES = """- `data/train.parquet`: the samples; `messages` is ready for fine-tuning, `reviews_json` holds the reviews' texts
- `rejected.parquet`: every dropped sample with `reason` and `detail`
- `stats.json`: the numbers above, also per round"""

LIMITS = """- Written and judged by language models: errors that most reviewers miss pass the gate.
- Scores rank samples within one run; they are not comparable between pools of models.
- The licence line follows the seeds. The terms of the models that wrote the texts apply as well: check them before use.
- Not checked for personal data. Decontamination finds copies of benchmark items, not paraphrases."""


def plain(value: object, most: int = 200) -> str:
    """Return `value` as one line, escaped for Markdown and HTML. A text of more than `most` characters is cut."""
    shown = html.escape(" ".join(str(value).split())[:most], quote=False)  # the text is never inside an HTML attribute
    return re.sub(r"([\\`*_\[\]|#~!])", r"\\\1", shown)


def _header(card: CardInfo, kept: int) -> str:
    import yaml

    head: dict[str, Any] = {}
    known = (card.license or "unknown").strip().lower()
    head["license"] = known if known in LICENSES else "other"
    if known not in LICENSES:
        head["license_name"] = re.sub(r"[^a-z0-9.+]+", "-", known)[:80].strip("-") or "unnamed"
    head["task_categories"] = ["text-generation"]
    head["pretty_name"] = " ".join(card.title.split())[:100]
    head["tags"] = [*TAGS, *(["simulated"] if card.simulated else [])]
    head["size_categories"] = [next((name for limit, name in SIZES if kept < limit), "n>1M")]
    head["configs"] = [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]},
        {"config_name": "rejected", "data_files": [{"split": "rejected", "path": "rejected.parquet"}]},
    ]
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---"


def _account(card: CardInfo) -> str:
    return f" ({plain(card.seeds_account, 1500)})" if card.seeds_account else ""


def _licence(card: CardInfo) -> str:
    if card.license is None:
        return (
            "**Licence: unknown.** The seeds have no stated licence (`seeds.license`), so none is granted here: find out the terms "
            "of the seeds before you use or share this data."
        )
    return f"Licence: {plain(card.license)}, the licence of the seeds."


def _regated(stats: Mapping[str, Any]) -> list[str]:
    """Return a warning about what the stage `regate` could not decide; [] if the data were not made by this stage, or
    if it decided everything."""
    if (account := stats.get("regated")) is None:
        return []
    return [
        f"> **Re-gated from a recorded run, not what a run of its own would give:** {plain(in_words(account), 600)}."
    ]


def _funnel(stats: Mapping[str, Any]) -> str:
    rows = [f"| {label} | {count(stats[key])} |" for key, label in FUNNEL if key in stats]
    return "\n".join(["| | samples |", "| --- | ---: |", *rows])


def _task_filter(stats: Mapping[str, Any]) -> list[str]:
    """Return what the classifier of instructions does and how good it is; [] if the run has none."""
    return [classifier.sentence(stats["task_filter"])] if "task_filter" in stats else []


def _probe(stats: Mapping[str, Any]) -> list[str]:
    """Return what the run's probe says about the accepted samples, and the faults that it found; [] if there was no
    probe."""
    said: Mapping[str, Any] | None = stats.get("probe")
    if said is None:
        return []
    words = plain(said["words"], 400).replace("\\[", "[").replace("\\]", "]")
    return [words, *(f"> **Probe: {plain(fault, 400)}**" for fault in said["faults"])]


def _decontamination(card: CardInfo) -> str:
    if card.decontamination.startswith("none"):
        return f"> **Decontamination: {plain(card.decontamination)}.** Benchmark items among the samples would inflate scores."
    return f"Decontamination: {plain(card.decontamination)}; removed samples are in `rejected.parquet`, with the item they hit."


def _agreement(stats: Mapping[str, Any]) -> str:
    share, found = stats.get("low_std_share"), stats.get("health") or {}
    alpha, low, high = (found.get(key) for key in ("alpha", "alpha_low", "alpha_high"))
    text = (
        "-" if alpha is None else f"{alpha:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")
    )
    said = [
        "Fully reviewed samples whose scores have a standard deviation of at most delta: "
        f"{'-' if share is None else f'{share:.1%}'}. "
        f"Krippendorff's alpha of the reviewers' scores (interval data, 95 %): {text}."
    ]
    said += [f"> **Committee: {plain(words, 400)}.**" for words in found.get("warnings") or []]
    return "\n\n".join(said)


def _models(card: CardInfo, stats: Mapping[str, Any]) -> str:
    lines = ["| model | role | calls | tokens in | tokens out |", "| --- | --- | ---: | ---: | ---: |"]
    counted: Mapping[str, Any] = stats.get("tokens") or {}
    for model in dict.fromkeys([*card.models, *counted]):
        roles = counted.get(model) or {"-": {}}
        for role, cost in roles.items():
            lost = f" ({cost['unknown']} calls unknown)" if cost.get("unknown") else ""
            cells = [plain(model), plain(role), *(count(cost.get(key)) for key in ("calls", "in"))]
            lines.append(f"| {' | '.join(cells)} | {count(cost.get('out'))}{lost} |")
    return "\n".join(lines)


def _replies(stats: Mapping[str, Any]) -> list[str]:
    """Return the models with many unusable replies, and for each model and step the proportion of unusable replies with
    the reasons."""
    replies: Mapping[str, Any] = stats.get("replies") or {}
    named = [f"> **{plain(text)}**" for text in troubles(replies, stats.get("refused") or {})]
    lines = ["| model | step | replies | unusable | reasons | notes |", "| --- | --- | ---: | ---: | --- | --- |"]
    for model, steps in replies.items():
        for step, seen in steps.items():
            unusable = sum(seen["unusable"].values())
            whole = [plain(model), plain(step), count(seen["calls"]), f"{unusable / seen['calls']:.1%}"]
            lines.append(f"| {' | '.join([*whole, _counts(seen['unusable']), _counts(seen['noted'])])} |")
    what = "Unusable replies were requested again, then counted as missing."
    return [*named, what, "\n".join(lines)] if replies else []


def _counts(found: Mapping[str, int]) -> str:
    return (
        plain(", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda f: (-f[1], f[0]))[:5]))
        or "-"
    )


def _settings(card: CardInfo) -> str:
    import yaml

    shown = (
        yaml.safe_dump(_without_secrets(dict(card.settings)), sort_keys=True, allow_unicode=True)
        if card.settings
        else "{}\n"
    )
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    hashed = f"\n\nPrompts (sha256): `{plain(card.prompts_hash)}`" if card.prompts_hash else ""
    return f"{fence}yaml\n{shown}{fence}{hashed}"


def _without_secrets(value: Any) -> Any:
    """`value` without keys that name credentials, and without user names and passwords in URLs."""
    if isinstance(value, Mapping):
        return {str(k): _without_secrets(v) for k, v in value.items() if not secret_patterns.is_name(str(k))}
    if isinstance(value, list | tuple):
        return [_without_secrets(entry) for entry in value]
    if isinstance(value, str):
        return secret_patterns.without_user(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
