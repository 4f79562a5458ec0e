"""Students out of fetched weights: a GGUF file -> a Transformers folder (`gra fetch students NAME`, which runs this in a process of
its own, since it imports torch: python -m gra.weights.student NAME SHA256 GGUF_FILE FOLDER).

The weights were rounded to a few bits once and are float32 again here, not the original ones: the file QUANTIZED in the folder says
so, and the students' names in conf/student do. A model without a chat template gets Gemma's turns, which begin with the
beginning-of-sequence token. Source: https://huggingface.co/docs/transformers/gguf
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
    if (target / QUANTIZED).is_file() and weights.sha256 in (target / QUANTIZED).read_text(encoding="utf-8"):
        say(f"{name}: there already: {target}")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{name}.work")
    with locked(target.with_name(f"{name}.lock"), lambda who: say(f"{name}: waiting for {who}, which makes it")):
        shutil.rmtree(work, ignore_errors=True)
        words = [sys.executable, "-m", "gra.weights.student", name, weights.sha256, str(path_of(weights)), str(work)]
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


def convert(name: str, sha256: str, source: Path, target: Path) -> None:
    """Write model and tokenizer to `target`. Raises OSError, and ImportError where the package `gguf` is missing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    if not tokenizer.chat_template:
        tokenizer.chat_template = TURNS
        tokenizer.eos_token = END_OF_TURN  # what ends a turn, for training and generation alike
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.config.eos_token_id = tokenizer.eos_token_id
    for mark, value in (("hf_quantizer", None), ("is_quantized", False), ("quantization_method", None)):
        setattr(model, mark, value)  # plain float32 now; save_pretrained would refuse otherwise
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    write_text(target / QUANTIZED, f"{name}: made float32 again out of a rounded GGUF file, sha256 {sha256}\n")


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
