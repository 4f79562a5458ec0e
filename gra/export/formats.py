"""PURE: converts samples to the formats that trainers read. The source of each format is the documentation of its
trainer.

A sample has the keys `instruction`, `response` and `messages` (a list of {role, content}). A preference pair has the
keys `prompt`, `chosen` and `rejected`, which are texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Sample = Mapping[str, Any]
Files = dict[str, str]  # name -> text
FROM = {"system": "system", "user": "human", "assistant": "gpt"}  # role -> ShareGPT's name for it


@dataclass(frozen=True)
class Format:
    """A file format that a trainer reads.

    `told`: the format's description in --help. `files`: a function of a data set's name and its samples, which returns
    a mapping from file name to file text. `pairs`: a function like `files`, but with preference pairs in place of
    samples. It is None if the format does not support preference pairs.
    """

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
    """Return one file in Stanford Alpaca's format, a JSON array of {instruction, input, output}. `input` is always
    empty, because GRA's instructions already contain the input."""
    return {f"{name}.json": _array(_alpaca_rows(samples))}


def sharegpt(name: str, samples: Sequence[Sample]) -> Files:
    """Return ShareGPT's file: an array of {conversations: [{from, value}]}."""
    rows = [
        {"conversations": [{"from": FROM[turn["role"]], "value": turn["content"]} for turn in one["messages"]]}
        for one in samples
    ]
    return {f"{name}.json": _array(rows)}


def chatml(name: str, samples: Sequence[Sample]) -> Files:
    """Return JSON lines of {messages: [{role, content}]}, TRL's conversational format."""
    return {f"{name}.jsonl": _lines([{"messages": _turns(one)} for one in samples])}


def preference_lines(name: str, pairs: Sequence[Sample]) -> Files:
    """Return one file with preference pairs in TRL's format for DPO with an explicit prompt. Each line is a JSON object
    {prompt, chosen, rejected}. Each of its three values is a list of messages."""
    return {f"{name}.jsonl": _lines([_pair(one) for one in pairs])}


def llamafactory(name: str, samples: Sequence[Sample]) -> Files:
    """Return the two files of LLaMA-Factory's `alpaca` format: a file with the samples, and dataset_info.json, which
    describes the file with the samples."""
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    return {
        f"{name}.json": _array(_alpaca_rows(samples)),
        "dataset_info.json": _info(name, {"formatting": "alpaca", "columns": columns}),
    }


def llamafactory_pairs(name: str, pairs: Sequence[Sample]) -> Files:
    """Return the two files of LLaMA-Factory's preference format: a file with the pairs, and dataset_info.json, which
    describes the file with the pairs. This description sets `ranking` and names the columns `chosen` and `rejected`."""
    rows = [
        {"instruction": one["prompt"], "input": "", "chosen": one["chosen"], "rejected": one["rejected"]}
        for one in pairs
    ]
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    return {f"{name}.json": _array(rows), "dataset_info.json": _info(name, {"ranking": True, "columns": columns})}


def axolotl(name: str, samples: Sequence[Sample]) -> Files:
    """Return two files for Axolotl. One file has the messages of one sample per line, as JSON. The other is a YAML
    snippet for the user's Axolotl config, of type chat_template."""
    text = (
        "# for your Axolotl config; give `path` as it is seen from where you train\n"
        f"datasets:\n  - path: {json.dumps(f'{name}.jsonl')}\n    ds_type: json\n    type: chat_template\n"
        "    field_messages: messages\n    message_property_mappings: {role: role, content: content}\n"
    )
    return chatml(name, samples) | {"axolotl.yaml": text}


def axolotl_pairs(name: str, pairs: Sequence[Sample]) -> Files:
    """Return two files for Axolotl. One file has one preference pair per line, as JSON. The other is a YAML snippet for
    the user's Axolotl config, of type chat_template.default.

    A line has the messages of the prompt, and one message each for the chosen and the rejected response.
    """
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
