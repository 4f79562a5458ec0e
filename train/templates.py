"""Chat templates, and which part of a rendered talk is trained: the assistant's words and their end token, nothing else.

`templates/default.jinja` is the plain text of LLaMA-Factory's template of that name (v0.9.2 and later, from its
description, not its code): "Human: ...<eos>\\nAssistant:...<eos>\\n", no beginning-of-text token. `templates/chatml.jinja`
is the <|im_start|>role format. `tokenizer` takes the template the tokenizer came with. The template in use is saved with
the tokenizer, so that evaluation renders what was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = Path(__file__).parent / "templates"
EXTRA_TOKENS = {"chatml": ("<|im_start|>", "<|im_end|>")}  # special tokens a template needs
END_TOKENS = {"chatml": "<|im_end|>"}  # becomes the tokenizer's end-of-text token; others keep their own

Message = dict[str, str]


def read(name: str) -> str:
    """The Jinja2 text of one of our own templates, without the newline that ends the file."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n")


def install(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    """Give `tokenizer` the template `name`, an end token that the template uses, and a padding token.

    Returns how many tokens were added to the vocabulary. Raises TrainError where the tokenizer cannot serve the template.
    """
    added = 0
    if name == "tokenizer":
        if not tokenizer.chat_template:
            raise TrainError(
                "sft.template=tokenizer: this tokenizer brings no chat template of its own (base models often do not)\n"
                "    -> choose sft.template=default or sft.template=chatml"
            )
    else:
        missing = [token for token in EXTRA_TOKENS.get(name, ()) if token not in tokenizer.get_vocab()]
        if missing:
            added = tokenizer.add_tokens(list(missing), special_tokens=True)
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
    return added


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts that the tokenizer turns into a special token wherever they occur, longest first."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return sorted(added | set(tokenizer.all_special_tokens), key=lambda text: (-len(text), text))


def segments(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], specials: Sequence[str]) -> list[tuple[str, bool]]:
    """The rendered talk cut into (text, trained) pieces, whose concatenation is the whole rendering.

    An assistant turn is what rendering one message more adds to the prompt that generation starts from; its trained part
    ends with the last special token in it (whatever a template writes after that, often a newline, is not trained).
    The pieces are to be tokenised one by one: so the prompt's tokens are those that the model gets when it is asked.
    Raises TrainError for a template of which that cannot be said.
    """
    whole = _render(tokenizer, messages, False)
    pieces: list[tuple[str, bool]] = []
    position = 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        start = _render(tokenizer, messages[:index], True)
        end = whole if index == len(messages) - 1 else _render(tokenizer, messages[: index + 1], False)
        if not (end.startswith(start) and whole.startswith(end)):
            raise TrainError(
                "this chat template rewrites earlier turns as a talk goes on, so the assistant's tokens cannot be told from the "
                "rest\n    -> choose sft.template=chatml or sft.template=default"
            )
        turn = end[len(start) :]
        stop = max((at + len(token) for token in specials if (at := turn.rfind(token)) >= 0), default=0)
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


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], prompt: bool) -> str:
    from jinja2 import TemplateError

    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt))
    except TemplateError as error:
        raise TrainError(
            f"the chat template refuses a talk with the roles {[m['role'] for m in messages]}: {error}\n"
            "    -> choose another sft.template, or correct the data"
        ) from error
