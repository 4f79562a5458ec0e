"""Chat templates, and which part of a rendered talk is trained: the assistant's words and their end token, nothing else.

`templates/default.jinja` is the plain text of LLaMA-Factory's template of that name (v0.9.2 and later, from its
description, not its code): "Human: ...<eos>\\nAssistant:...<eos>\\n", no beginning-of-text token. `templates/chatml.jinja`
is the <|im_start|>role format. `templates/qwen.jinja` is the same with the system message that Qwen2.5-Instruct's own template
puts before a talk that has none; tool calls are not rendered. `templates/llama3.jinja` is the format of Meta-Llama-3-Instruct:
the tokenizer's beginning-of-text token, if it has one, then a header for each role; content loses the white space at its ends,
as in Meta's template; the dates that Llama 3.1's adds are not written. `tokenizer` takes the template the tokenizer came
with. The template in use is saved with the tokenizer, so that evaluation renders what was trained.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gra.errors import TrainError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from train.settings import StudentSettings

FOLDER = Path(__file__).parent / "templates"
_CHATML, _LLAMA3 = ("<|im_start|>", "<|im_end|>"), ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
EXTRA_TOKENS = {"chatml": _CHATML, "qwen": _CHATML, "llama3": _LLAMA3}  # special tokens a template needs
END_TOKENS = {"chatml": "<|im_end|>", "qwen": "<|im_end|>", "llama3": "<|eot_id|>"}  # becomes eos_token; others keep their own

Message = dict[str, str]
log = logging.getLogger(__name__)


def load_tokenizer(student: StudentSettings, where: str) -> PreTrainedTokenizerBase:
    """The tokenizer of the student at `where` (folder or hub id), as it comes. Raises TrainError naming the student."""
    import httpx
    from transformers import AutoTokenizer

    options: dict[str, Any] = {} if Path(where).is_dir() else {"revision": student.revision}
    try:
        found = AutoTokenizer.from_pretrained(where, trust_remote_code=student.trust_remote_code, **options)
    except (OSError, ValueError, ImportError, KeyError, httpx.HTTPError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrainError(
            f"student {where}: its tokenizer cannot be loaded ({reason})\n    -> check student.model and student.revision; a hub "
            "id needs the network and, if gated, HF_TOKEN"
        ) from error
    return cast("PreTrainedTokenizerBase", found)


def read(name: str) -> str:
    """The Jinja2 text of one of our own templates, without the newline that ends the file."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n")


def install(tokenizer: PreTrainedTokenizerBase, name: str) -> list[str]:
    """Give `tokenizer` the template `name`, an end token that the template uses, and a padding token.

    Returns the tokens that were added to the vocabulary. Raises TrainError where the tokenizer cannot serve the template.
    """
    missing: list[str] = []
    if name == "tokenizer":
        if not tokenizer.chat_template:
            raise TrainError(
                "sft.template=tokenizer: this tokenizer brings no chat template of its own (base models often do not)\n"
                "    -> choose sft.template=default or sft.template=chatml"
            )
        if "strftime_now" in str(tokenizer.chat_template):
            log.warning("sft.template=tokenizer: this chat template writes the day's date: another day gives other tokens")
    else:
        missing = [token for token in EXTRA_TOKENS.get(name, ()) if token not in tokenizer.get_vocab()]
        if missing:
            tokenizer.add_tokens(list(missing), special_tokens=True)
        tokenizer.chat_template = read(name)
        if name in END_TOKENS:
            tokenizer.eos_token = END_TOKENS[name]
    if tokenizer.eos_token is None:
        raise TrainError(
            f"sft.template={name}: the tokenizer has no end-of-text token, so a turn could not be ended\n"
            "    -> choose sft.template=chatml, or set eos_token in the student's tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # never seen by the loss: labels are made before padding
    return missing


def missing_start(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """That the template writes no beginning-of-text token though the tokenizer puts one before every text, as models have it that
    were trained with one (Gemma, Llama 3); None where all is as the tokenizer would do it."""
    start, ids = tokenizer.bos_token, tokenizer("a")["input_ids"]
    if start is None or not ids or ids[0] != tokenizer.bos_token_id:
        return None
    if _render(tokenizer, [[{"role": "user", "content": "a"}]], True)[0].startswith(str(start)):
        return None
    return (
        f"its texts begin without the tokenizer's beginning-of-text token {start}, which this student is used to: it is trained "
        "and asked without it (sft.template=tokenizer, where the student has one, writes it)"
    )


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts that the tokenizer turns into a special token wherever they occur, longest first."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return sorted(added | set(tokenizer.all_special_tokens), key=lambda text: (-len(text), text))


def spells_special(text: str, specials: Sequence[str]) -> bool:
    """Whether a special token is spelled in `text`."""
    return _pattern(tuple(specials)).search(text) is not None


@lru_cache(maxsize=8)
def _pattern(specials: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all special tokens, longest first: Llama 3 has 256 of them, too many to look for one by one."""
    return re.compile("|".join(map(re.escape, specials)) or r"(?!)")


def segments(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], specials: Sequence[str]) -> list[tuple[str, bool]]:
    """The rendered talk cut into (text, trained) pieces, whose concatenation is the whole rendering.

    An assistant turn is what rendering one message more adds to the prompt that generation starts from; its trained part
    ends with the last special token in it (whatever a template writes after that, often a newline, is not trained).
    The pieces are to be tokenised one by one: so the prompt's tokens are those that the model gets when it is asked.
    Raises TrainError for a template of which that cannot be said.
    """
    return segments_of_all(tokenizer, [messages], specials)[0]


def segments_of_all(
    tokenizer: PreTrainedTokenizerBase, talks: Sequence[Sequence[Message]], specials: Sequence[str]
) -> list[list[tuple[str, bool]]]:
    """`segments` of many talks: rendered together, which takes half the time."""
    turns = [[i for i, message in enumerate(talk) if message["role"] == "assistant"] for talk in talks]
    prompts = iter(_render(tokenizer, [talk[:i] for talk, where in zip(talks, turns, strict=True) for i in where], True))
    wholes = _render(tokenizer, talks, False)
    inner = iter(_render(tokenizer, [talk[: i + 1] for talk, where in zip(talks, turns, strict=True) for i in where[:-1]], False))
    found = []
    for talk, where, whole in zip(talks, turns, wholes, strict=True):
        ends = [next(inner) for _ in where[:-1]]
        if where:  # the last turn ends the talk, or what follows it is rendered apart
            ends.append(whole if where[-1] == len(talk) - 1 else _render(tokenizer, [talk[: where[-1] + 1]], False)[0])
        found.append(_cut(whole, [(next(prompts), end) for end in ends], specials))
    return found


def _cut(whole: str, turns: Sequence[tuple[str, str]], specials: Sequence[str]) -> list[tuple[str, bool]]:
    """`whole` in pieces; `turns`: for each assistant turn the renderings up to its beginning and up to its end."""
    pattern = _pattern(tuple(specials))
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, end in turns:
        if not (end.startswith(start) and whole.startswith(end)):
            raise TrainError(
                "this chat template rewrites earlier turns as a talk goes on, so the assistant's tokens cannot be told from the "
                "rest\n    -> choose sft.template=chatml or sft.template=default"
            )
        turn = end[len(start) :]
        stop = max((match.end() for match in pattern.finditer(turn)), default=0)
        if stop == 0:
            raise TrainError(
                "this chat template ends an assistant turn without a special token: the student would never learn to stop\n"
                "    -> choose sft.template=chatml or sft.template=default"
            )
        pieces += [(whole[position : len(start)], False), (turn[:stop], True)]
        position = len(start) + stop
    pieces.append((whole[position:], False))
    return [(text, trained) for text, trained in pieces if text]


def end_token_ids(tokenizer: PreTrainedTokenizerBase, specials: Sequence[str]) -> list[int]:
    """Ids at which generation has to stop: the token that ends an assistant turn, then the end-of-text token."""
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    turn = next(text for text, trained in segments(tokenizer, talk, specials) if trained)
    token = next(token for token in specials if turn.endswith(token))
    ids: Any = tokenizer.convert_tokens_to_ids([token])
    return list(dict.fromkeys([int(ids[0]), int(tokenizer.eos_token_id)]))


def _render(tokenizer: PreTrainedTokenizerBase, talks: Sequence[Sequence[Message]], prompt: bool) -> list[str]:
    from jinja2 import TemplateError

    if not talks:
        return []
    plain: Any = [list(talk) for talk in talks]
    try:
        rendered: Any = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
    except TemplateError as error:
        if len(talks) > 1:  # one of them: each by itself tells which
            return [text for talk in talks for text in _render(tokenizer, [talk], prompt)]
        raise TrainError(
            f"the chat template refuses a talk with the roles {[m['role'] for m in talks[0]]}: {error}\n"
            "    -> choose another sft.template, or correct the data"
        ) from error
    return list(rendered)
