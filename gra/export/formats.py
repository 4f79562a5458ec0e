"""PURE: the forms that trainers read, as functions of samples. Sources of each form: its own documentation, named beside it.

A sample has `instruction`, `response` and `messages` (list of {role, content}); a pair has `prompt`, `chosen` and `rejected` texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Sample = Mapping[str, Any]
Files = dict[str, str]  # name -> text
FROM = {"system": "system", "user": "human", "assistant": "gpt"}  # ShareGPT's names of roles


@dataclass(frozen=True)
class Format:
    """`files(name, samples)` and `pairs(name, pairs)`: the files of a set called `name`; None: the form knows no pairs."""

    told: str
    files: Callable[[str, Sequence[Sample]], Files]
    pairs: Callable[[str, Sequence[Sample]], Files] | None = None


def _lines(rows: Sequence[Any]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _array(rows: Sequence[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _alpaca_rows(samples: Sequence[Sample]) -> list[dict[str, str]]:
    return [{"instruction": one["instruction"], "input": "", "output": one["response"]} for one in samples]


def alpaca(name: str, samples: Sequence[Sample]) -> Files:
    """Stanford Alpaca: an array of {instruction, input, output}; inputs are part of our instructions."""
    return {f"{name}.json": _array(_alpaca_rows(samples))}


def sharegpt(name: str, samples: Sequence[Sample]) -> Files:
    """An array of {conversations: [{from, value}]}."""
    rows = [
        {"conversations": [{"from": FROM[turn["role"]], "value": turn["content"]} for turn in one["messages"]]}
        for one in samples
    ]
    return {f"{name}.json": _array(rows)}


def chatml(name: str, samples: Sequence[Sample]) -> Files:
    """JSON lines of {messages: [{role, content}]}: TRL's conversational form."""
    return {f"{name}.jsonl": _lines([{"messages": _turns(one)} for one in samples])}


def preference_lines(name: str, pairs: Sequence[Sample]) -> Files:
    """JSON lines of {prompt, chosen, rejected} as turns: TRL's form for DPO with an explicit prompt."""
    return {f"{name}.jsonl": _lines([_pair(one) for one in pairs])}


def llamafactory(name: str, samples: Sequence[Sample]) -> Files:
    """LLaMA-Factory's `alpaca` form, with the entry of its dataset_info.json."""
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    return {
        f"{name}.json": _array(_alpaca_rows(samples)),
        "dataset_info.json": _info(name, {"formatting": "alpaca", "columns": columns}),
    }


def llamafactory_pairs(name: str, pairs: Sequence[Sample]) -> Files:
    """LLaMA-Factory's preference form: `ranking` with the columns chosen and rejected."""
    rows = [
        {"instruction": one["prompt"], "input": "", "chosen": one["chosen"], "rejected": one["rejected"]}
        for one in pairs
    ]
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    return {f"{name}.json": _array(rows), "dataset_info.json": _info(name, {"ranking": True, "columns": columns})}


def axolotl(name: str, samples: Sequence[Sample]) -> Files:
    """JSON lines of messages, with the lines for an Axolotl config (type chat_template)."""
    text = (
        "# for your Axolotl config; give `path` as it is seen from where you train\n"
        f"datasets:\n  - path: {json.dumps(f'{name}.jsonl')}\n    ds_type: json\n    type: chat_template\n"
        "    field_messages: messages\n    message_property_mappings: {role: role, content: content}\n"
    )
    return chatml(name, samples) | {"axolotl.yaml": text}


def axolotl_pairs(name: str, pairs: Sequence[Sample]) -> Files:
    """Axolotl's chat_template.default for preference data: messages, and chosen and rejected as one turn each."""
    rows = [
        {"messages": found["prompt"], "chosen": found["chosen"][0], "rejected": found["rejected"][0]}
        for found in map(_pair, pairs)
    ]
    text = (
        "# for your Axolotl config; give `path` as it is seen from where you train\n"
        f"rl: dpo\ndatasets:\n  - path: {json.dumps(f'{name}.jsonl')}\n    ds_type: json\n    type: chat_template.default\n"
        "    field_messages: messages\n    field_chosen: chosen\n    field_rejected: rejected\n"
        "    message_property_mappings: {role: role, content: content}\n"
    )
    return {f"{name}.jsonl": _lines(rows), "axolotl.yaml": text}


def _turns(sample: Sample) -> list[dict[str, str]]:
    return [{"role": turn["role"], "content": turn["content"]} for turn in sample["messages"]]


def _pair(one: Sample) -> dict[str, list[dict[str, str]]]:
    said = {key: [{"role": "assistant", "content": one[key]}] for key in ("chosen", "rejected")}
    return {"prompt": [{"role": "user", "content": one["prompt"]}], **said}


def _info(name: str, entry: Mapping[str, Any]) -> str:
    return json.dumps({name: {"file_name": f"{name}.json", **entry}}, ensure_ascii=False, indent=2) + "\n"


FORMATS = {
    "alpaca": Format("an array of instruction, input, output", alpaca),
    "sharegpt": Format("an array of conversations with from and value", sharegpt),
    "chatml": Format("JSON lines of messages, as TRL reads them", chatml, preference_lines),
    "openai": Format("JSON lines of messages, as OpenAI's fine-tuning takes them", chatml),
    "llamafactory": Format("alpaca, with dataset_info.json", llamafactory, llamafactory_pairs),
    "axolotl": Format("JSON lines of messages, with a YAML snippet", axolotl, axolotl_pairs),
}
