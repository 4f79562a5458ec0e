"""Students out of fetched weights: a GGUF file -> a Transformers folder (`gra fetch students NAME`, which runs this in a process of
its own, since it imports torch: python -m gra.weights.student NAME SHA256 FORM GGUF_FILE FOLDER).

The weights were rounded to a few bits once and are float32 again here, not the original ones: the file QUANTIZED in the folder says
so, and what is trained from it and its scores carry that label on (gra/labels.py). A Gemma without a chat template gets
Gemma's turns, which begin with the beginning-of-sequence token. Source: https://huggingface.co/docs/transformers/gguf
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
from gra.waiting import told
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
SOURCE = "SOURCE"  # the file that says of what a folder was made


def folder(name: str) -> Path:
    """Where the student `name` lies, as conf/student/*.yaml have it. Raises StoreError where GRA_CACHE=off leaves no place."""
    root = cache.root()
    if root is None:
        raise StoreError("GRA_CACHE=off leaves no place for students\n    -> unset it, or name a folder: export GRA_CACHE=FOLDER")
    return root / "students" / name


def command_for(path: Path) -> str | None:
    """What makes the student at `path`, where that is a place of a student in the cache."""
    root = cache.root()
    below = None if root is None else root / "students"
    return f"gra fetch students {path.name}" if below is not None and path.parent == below else None


def make(name: str, weights: Weights, say: Say) -> Path:
    """The student's folder, made of the fetched file unless it is there. Raises StoreError with the last words of what failed."""
    target = folder(name)
    if _made_of(target, weights.sha256):
        say(f"{name}: there already: {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{name}.work")
    with locked(target.with_name(f"{name}.lock"), lambda who: say(f"{name}: waiting for {who}, which makes it")):
        shutil.rmtree(work, ignore_errors=True)
        given = [name, weights.sha256, weights.quantised or "", str(path_of(weights)), str(work)]
        words = [sys.executable, "-m", "gra.weights.student", *given]
        with told(f"{name}: making a Transformers folder of {weights.file}"):
            done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-3:])
            what = f"{name}: no student could be made of {weights.file}:\n{last}"
            raise StoreError(f"{what}\n    -> pip install 'gra[cpu]', run it again")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
        sync_folder(target.parent)
    say(f"{name}: {target} (weights of {weights.quantised or 'full precision'}, float32)")
    return target


def label(form: str, file: str, sha256: str) -> str:
    """The line of the file QUANTIZED for weights of this form, e.g. Q4_1: "4-bit (Q4_1): FILE, sha256 ..."."""
    bits = re.match(r"I?Q(\d+)", form)
    return f"{f'{bits[1]}-bit' if bits else 'few bits'} ({form}): {file}, sha256 {sha256}"


def _made_of(folder: Path, sha256: str) -> bool:
    """Whether the folder is whole and made of this file: one of both marks is written last."""
    return any((folder / mark).is_file() and sha256 in (folder / mark).read_text(encoding="utf-8") for mark in (SOURCE, QUANTIZED))


def give_turns(model: Any, tokenizer: Any) -> None:
    """Gemma's turns for a model that brings no chat template, where its tokenizer has their marks; others stay as they are, to be
    trained by another template. A reply ends with the turn, or where the base model ends a text."""
    if tokenizer.chat_template or END_OF_TURN not in tokenizer.get_vocab():
        return
    before = tokenizer.eos_token_id
    tokenizer.chat_template = TURNS
    tokenizer.eos_token = END_OF_TURN  # what ends a turn, for training and generation alike
    model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *([] if before is None else [before])]


def convert(name: str, sha256: str, form: str, source: Path, target: Path) -> None:
    """Write model and tokenizer to `target`. Raises OSError, and ImportError where the package `gguf` is missing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    give_turns(model, tokenizer)
    for mark, value in (("hf_quantizer", None), ("is_quantized", False), ("quantization_method", None)):
        setattr(model, mark, value)  # plain float32 now; save_pretrained would refuse otherwise
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    if form:
        write_text(target / QUANTIZED, label(form, source.name, sha256) + "\n")
    write_text(target / SOURCE, f"{name}: {source.name}, sha256 {sha256}\n")


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
