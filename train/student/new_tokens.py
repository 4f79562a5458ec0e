"""Checks that LoRA trains the tokens that a chat template adds to the student's vocabulary.

A LoRA adapter trains neither the embeddings of new tokens nor their rows of the output layer. If the token that ends a
turn is new, the student would never learn to generate it, and its replies would not end. The embeddings and the output
layer therefore have to be trained in full (`sft.lora.modules_to_save`), even if the two layers share their weights.

`problems` checks the student's files before anything is loaded; `require_trained` checks the loaded model.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import Problem, TrainError
from gra.train.settings import LoraSettings, SftSettings, StudentSettings
from gra.train.templates import EXTRA_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)
BOTH = ("embed_tokens", "lm_head")  # names of input embeddings and output layer in most architectures
NAMES = {  # their names in other model types
    "bloom": ("word_embeddings", "lm_head"),
    "falcon": ("word_embeddings", "lm_head"),
    "gpt2": ("wte", "lm_head"),
    "gpt_bigcode": ("wte", "lm_head"),
    "gpt_neo": ("wte", "lm_head"),
    "gpt_neox": ("embed_in", "embed_out"),
    "gptj": ("wte", "lm_head"),
    "mpt": ("wte", "lm_head"),
}
SAME_NAMES = (
    "gemma",
    "llama",
    "mistral",
    "olmo",
    "phi",
    "qwen",
    "smollm",
    "cohere",
    "granite",
    "opt",
    "stablelm",
    "starcoder2",
)
BUILT = ("<|im_start|>", "<|im_end|>")  # in the vocabulary of every student built by the stage `student`


def problems(
    sft: SftSettings, student: StudentSettings, inputs: Mapping[str, Path | None], kind: object, source: str
) -> list[Problem]:
    """Return a list with one fault if LoRA would not train the tokens that the chat template adds; [] otherwise.

    The function reads only the student's files and loads no model.

    `kind`: the student's model_type; None if unknown.
    `source`: the path of the student's config.json; "" if unknown.
    """
    needed = EXTRA_TOKENS.get(sft.template, ())
    if sft.method == "full" or not needed:
        return []
    saved = (sft.lora or LoraSettings()).modules_to_save
    both = NAMES.get(str(kind), BOTH)
    left = missing(both, [word.rpartition(".")[2] for word in saved])
    if not left or (not str(kind).startswith((*NAMES, *SAME_NAMES)) and len(saved) > 1):
        return []
    new = _absent(needed, student, inputs, source)
    return [Problem("sft.lora.modules_to_save", *_fault(sft, new, left, saved))] if new else []


def missing(names: Sequence[str], saved: Sequence[str]) -> list[str]:
    """Return the modules in `names` that PEFT would not train in full.

    `names`: full names of modules, or only their last parts.
    `saved`: the setting `sft.lora.modules_to_save`. PEFT trains the module a.b.c in full if `saved` contains a.b.c, b.c
    or c.
    """
    return [name for name in names if not any(name == word or name.endswith(f".{word}") for word in saved)]


def require_trained(model: PreTrainedModel, added: Sequence[str], sft: SftSettings) -> None:
    """Raise TrainError if LoRA would not train the tokens in `added`, which are new in the vocabulary.

    The new tokens are trained only if both the input embeddings and the output layer are trained in full. This also
    holds if the two layers already have unused rows for the new tokens.
    """
    if sft.method == "full" or not added:
        return
    names = layers(model)
    saved = (sft.lora or LoraSettings()).modules_to_save
    if left := missing(names, saved):
        message, remedy = _fault(sft, added, [name.rpartition(".")[2] for name in left], saved)
        raise TrainError(f"sft.lora.modules_to_save: {message}\n    -> {remedy}")


def layers(model: PreTrainedModel) -> list[str]:
    """Return the full names of the input embeddings and the output layer."""
    wanted = (model.get_input_embeddings(), model.get_output_embeddings())
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(module)] for module in wanted if id(module) in names]


def tied(model: PreTrainedModel, saved: Sequence[str]) -> bool:
    """Return whether PEFT has to train the input embeddings and the output layer as one shared weight matrix.

    That is the case if the two layers share their weights and `saved` (`sft.lora.modules_to_save`) contains at least
    one of them. Without PEFT's option ensure_weight_tying, PEFT would then train two separate matrices, so the
    published model would have another architecture than its base model.
    """
    read, write = model.get_input_embeddings(), model.get_output_embeddings()
    one = write is not None and read.weight is write.weight
    return one and len(missing(layers(model), saved)) < len(layers(model))


def _fault(sft: SftSettings, new: Sequence[str], left: Sequence[str], saved: Sequence[str]) -> tuple[str, str]:
    wanted = ",".join([*saved, *left])
    message = (
        f"sft.template={sft.template} adds {' '.join(new)} to the student's vocabulary, and LoRA leaves {' and '.join(left)} "
        "untrained: the student could not generate the token that ends a turn"
    )
    return message, f"set sft.lora.modules_to_save=[{wanted}], or choose sft.template=default or tokenizer"


def _absent(
    needed: Sequence[str], student: StudentSettings, inputs: Mapping[str, Path | None], source: str
) -> list[str]:
    """Return the tokens in `needed` that the student's tokenizer lacks according to its files; [] if the files cannot
    be read."""
    if "student" in inputs and inputs["student"] is None:
        return (
            [token for token in needed if token not in BUILT]
            if student.build is not None and student.model is None
            else []
        )
    folder = Path(source).parent
    if not source or not (folder / "tokenizer.json").is_file():
        return []
    try:
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        for name in ("tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
            if (folder / name).is_file():
                config: Any = json.loads((folder / name).read_text(encoding="utf-8"))
                text += json.dumps(
                    {key: value for key, value in config.items() if key != "chat_template"}, ensure_ascii=False
                )
    except (OSError, ValueError, AttributeError):  # loading the tokenizer gives a better message
        return []
    return [token for token in needed if json.dumps(token) not in text]
