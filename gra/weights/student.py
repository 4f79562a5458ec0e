"""Converts a fetched GGUF file to a Transformers folder for a student (`gra fetch students NAME`).

It imports torch, so it runs in a separate process: python -m gra.weights.student NAME SHA256 FORM GGUF_FILE FOLDER

The weights are dequantized to float32, so they are not the original weights. The file QUANTIZED in the folder records this;
models trained from the folder, and their scores, get the same label (gra/labels.py). A Gemma without a chat template gets
Gemma's turn format, which begins with the beginning-of-sequence token. Source: https://huggingface.co/docs/transformers/gguf
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gra import cache
from gra.errors import StoreError
from gra.fileio import sync_folder, write_text
from gra.labels import QUANTIZED
from gra.locks import locked
from gra.waiting import reported
from gra.weights.place import path_of
from gra.weights.sources import Say
from gra.weights.spec import Weights

TURNS = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{{ message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
END_OF_TURN = "<end_of_turn>"
SOURCE = "SOURCE"  # name of the file that says from which weights a folder was made


def folder(name: str) -> Path:
    """Return the folder in the cache for the student `name`. The files conf/student/*.yaml refer to such folders.
    Raises StoreError if GRA_CACHE=off."""
    root = cache.root()
    if root is None:
        raise StoreError(
            "GRA_CACHE=off: no cache for students\n    -> unset it, or set it to a folder: export GRA_CACHE=FOLDER"
        )
    return root / "students" / name


def command_for(path: Path) -> str | None:
    """Return the command that makes the student folder `path`. Return None if `path` is not the folder of a student in
    the cache."""
    root = cache.root()
    below = None if root is None else root / "students"
    return f"gra fetch students {path.name}" if below is not None and path.parent == below else None


def make(name: str, weights: Weights, say: Say) -> Path:
    """Return the folder of the student `name`. If it is missing, make it by converting the downloaded GGUF file. `say`:
    a function that gets progress lines. If the conversion fails, StoreError is raised with the last lines of its
    output."""
    target = folder(name)
    if _made_of(target, weights.sha256):
        say(f"{name}: already converted: {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{name}.work")
    with locked(target.with_name(f"{name}.lock"), lambda who: say(f"{name}: waiting for {who}, which is making it")):
        shutil.rmtree(work, ignore_errors=True)
        given = [name, weights.sha256, weights.quantised or "", str(path_of(weights)), str(work)]
        words = [sys.executable, "-P", "-m", "gra.weights.student", *given]
        with reported(f"{name}: converting {weights.file} to a Transformers folder"):
            done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-3:])
            what = f"{name}: {weights.file} could not be converted to a student:\n{last}"
            raise StoreError(f"{what}\n    -> pip install 'gra[cpu]', then run the same command again")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
        sync_folder(target.parent)
    say(f"{name}: {target} (weights of {weights.quantised or 'full precision'}, float32)")
    return target


def label(form: str, file: str, sha256: str) -> str:
    """Return the text to write to the file QUANTIZED. It says how the weights were quantised. If the quantisation
    `form` is Q4_1, the text is "4-bit (Q4_1): FILE, sha256 ..."."""
    bits = re.match(r"I?Q(\d+)", form)
    return f"{f'{bits[1]}-bit' if bits else 'few bits'} ({form}): {file}, sha256 {sha256}"


def _made_of(folder: Path, sha256: str) -> bool:
    """Return whether the folder was made from this file and is complete. SOURCE and QUANTIZED are written last."""
    return any(
        (folder / mark).is_file() and sha256 in (folder / mark).read_text(encoding="utf-8")
        for mark in (SOURCE, QUANTIZED)
    )


def give_turns(model: Any, tokenizer: Any) -> None:
    """Set Gemma's chat template if the tokenizer has no template but has Gemma's turn tokens. Other models stay
    unchanged.

    With Gemma's template, generation stops at the end-of-turn token and at the base model's end-of-text token.
    """
    if tokenizer.chat_template or END_OF_TURN not in tokenizer.get_vocab():
        return
    before = tokenizer.eos_token_id
    tokenizer.chat_template = TURNS
    tokenizer.eos_token = END_OF_TURN  # in training and in generation
    model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *([] if before is None else [before])]


def convert(name: str, sha256: str, form: str, source: Path, target: Path) -> None:
    """Convert the GGUF file `source` to a Transformers model and its tokenizer, and write both to the folder `target`.
    Raises OSError if a file cannot be read or written, and ImportError if the package `gguf` is missing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    give_turns(model, tokenizer)
    for mark, value in (("hf_quantizer", None), ("is_quantized", False), ("quantization_method", None)):
        setattr(model, mark, value)  # the weights are float32 now; save_pretrained would refuse them with these marks
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    if form:
        write_text(target / QUANTIZED, label(form, source.name, sha256) + "\n")
    write_text(target / SOURCE, f"{name}: {source.name}, sha256 {sha256}\n")


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
