r"""Provides chat templates, and finds the trained part of a rendered conversation: the assistant turns with their end token.

- `templates/default.jinja` gives the same text as LLaMA-Factory's template `default` (v0.9.2 and later),
  "Human: ...<eos>\nAssistant:...<eos>\n", without a beginning-of-text token. It was written from the description of
  that template, not from its code.
- `templates/chatml.jinja` is ChatML: a turn begins with <|im_start|> and the role.
- `templates/qwen.jinja` is ChatML, too. If a conversation has no system message, the template adds the same one as
  Qwen2.5-Instruct's template. Tool calls are not rendered.
- `templates/llama3.jinja` is the format of Meta-Llama-3-Instruct: the tokenizer's beginning-of-text token, if it has
  one, then a header per role. Content is stripped of white space at both ends, as in Meta's template; the dates that
  Llama 3.1's template adds are omitted.
- The name `tokenizer` means that the student's tokenizer keeps its own template.

The template in use is saved with the tokenizer, so that evaluation renders conversations as training did.
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

    from gra.train.settings import StudentSettings

FOLDER = Path(__file__).parent / "templates"
_CHATML, _LLAMA3 = ("<|im_start|>", "<|im_end|>"), ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
EXTRA_TOKENS = {"chatml": _CHATML, "qwen": _CHATML, "llama3": _LLAMA3}  # special tokens that a template needs
END_TOKENS = {
    "chatml": "<|im_end|>",
    "qwen": "<|im_end|>",
    "llama3": "<|eot_id|>",
}  # becomes eos_token; with the other templates eos_token stays as it is

Message = dict[str, str]
log = logging.getLogger(__name__)


def load_tokenizer(student: StudentSettings, where: str) -> PreTrainedTokenizerBase:
    """Return the unmodified tokenizer of the student at `where` (a folder or hub id).

    Raises TrainError, which names the student, if the tokenizer cannot be loaded.
    """
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
    """Return the Jinja2 text of one of our templates, without the file's final newline."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n")


def install(tokenizer: PreTrainedTokenizerBase, name: str, bos: str = "model") -> list[str]:
    """Give `tokenizer` the chat template `name`, and return the tokens that the template adds to the vocabulary.

    The tokenizer also gets the template's end token, and a padding token if it has none.

    `bos`: whether rendered texts begin with the beginning-of-text token (see `sft.bos`).

    Raises TrainError if the tokenizer does not fit the template.
    """
    missing: list[str] = []
    if name == "tokenizer":
        if not tokenizer.chat_template:
            raise TrainError(
                "sft.template=tokenizer: this tokenizer has no chat template (base models often have none)\n"
                "    -> choose sft.template=default or sft.template=chatml"
            )
        if "strftime_now" in str(tokenizer.chat_template):
            log.warning(
                "sft.template=tokenizer: this chat template writes the current date, so tokens differ from day to day"
            )
    else:
        missing = [token for token in EXTRA_TOKENS.get(name, ()) if token not in tokenizer.get_vocab()]
        if missing:
            tokenizer.add_tokens(list(missing), special_tokens=True)
        tokenizer.chat_template = read(name)
        if name in END_TOKENS:
            tokenizer.eos_token = END_TOKENS[name]
    if tokenizer.eos_token is None:
        raise TrainError(
            f"sft.template={name}: the tokenizer has no end-of-text token to end a turn with\n"
            "    -> choose sft.template=chatml, or set eos_token in the student's tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # never seen by the loss: labels are made before padding
    _choose_start(tokenizer, bos)
    return missing


def _choose_start(tokenizer: PreTrainedTokenizerBase, bos: str) -> None:
    """Change the template so that rendered texts begin with the beginning-of-text token, or begin without it.

    `bos`: "always" (with the token), "never" (without it) or "model" (nothing changes).

    The changed template is saved with the tokenizer, so that evaluation renders conversations as training did. If the
    tokenizer has no beginning-of-text token, nothing changes. Raises TrainError if the template cannot be changed.
    """
    if bos == "model" or tokenizer.bos_token is None or _starts(tokenizer) == (bos == "always"):
        return
    head = "{{- bos_token -}}" if bos == "always" else "{%- set bos_token = '' -%}"
    tokenizer.chat_template = f"{head}{tokenizer.chat_template}"
    if _starts(tokenizer) != (bos == "always"):
        raise TrainError(
            f"sft.bos={bos}: this chat template spells its beginning-of-text token out, so it cannot be left out\n"
            "    -> set sft.bos=model, or another sft.template"
        )


def _starts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether rendered texts begin with the beginning-of-text token."""
    return _render(tokenizer, [[{"role": "user", "content": "a"}]], True)[0].startswith(str(tokenizer.bos_token))


def missing_start(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return a warning if rendered conversations lack the beginning-of-text token that the tokenizer adds to texts.

    Return None in all other cases. The warning matters because a student with such a tokenizer (Gemma, Llama 3) was
    pretrained with this token.
    """
    start, ids = tokenizer.bos_token, tokenizer("a")["input_ids"]
    if start is None or not ids or ids[0] != tokenizer.bos_token_id:
        return None
    if _starts(tokenizer):
        return None
    return (
        f"texts begin without the tokenizer's beginning-of-text token {start}, which this student was pretrained with: training "
        "and evaluation leave it out (sft.bos=always writes it)"
    )


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the texts of the tokenizer's special tokens, longest first.

    Wherever such a text occurs, the tokenizer turns it into the special token.
    """
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return sorted(added | set(tokenizer.all_special_tokens), key=lambda text: (-len(text), text))


def spells_special(text: str, specials: Sequence[str]) -> bool:
    """Return whether a special token is spelled in `text`."""
    return _pattern(tuple(specials)).search(text) is not None


@lru_cache(maxsize=8)
def _pattern(specials: tuple[str, ...]) -> re.Pattern[str]:
    """Return one pattern for all special tokens, in the given order. Llama 3 has 256 of them, too many to search for one by one."""
    return re.compile("|".join(map(re.escape, specials)) or r"(?!)")


def segments(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], specials: Sequence[str]
) -> list[tuple[str, bool]]:
    """Return the rendered conversation in consecutive pieces: pairs (text, whether the student is trained on this
    text).

    The student is trained on the assistant turns. To find a turn, the conversation is rendered twice: once up to and
    including the generation prompt before the turn, and once up to the end of the turn. The turn is the text that only
    the second rendering has. The trained part of the turn ends with the turn's last special token. The student is not
    trained on text that the template writes after this token (often a newline).

    The caller has to tokenise the pieces one by one, so that the prompt has the same tokens as in generation. Raises
    TrainError if the template rewrites earlier turns or ends an assistant turn without a special token.

    `specials`: what the function `special_tokens` returns.
    """
    return segments_of_all(tokenizer, [messages], specials)[0]


def segments_of_all(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]], specials: Sequence[str]
) -> list[list[tuple[str, bool]]]:
    """Return, for each conversation, what `segments` returns for it.

    All conversations are rendered together, which takes half the time of calling `segments` for each.
    """
    turns = [[i for i, message in enumerate(one) if message["role"] == "assistant"] for one in conversations]
    pairs = list(zip(conversations, turns, strict=True))
    prompts = iter(_render(tokenizer, [one[:i] for one, where in pairs for i in where], True))
    wholes = _render(tokenizer, conversations, False)
    inner = iter(_render(tokenizer, [one[: i + 1] for one, where in pairs for i in where[:-1]], False))
    found = []
    for (one, where), whole in zip(pairs, wholes, strict=True):
        ends = [next(inner) for _ in where[:-1]]
        if where:  # the last assistant turn ends the conversation, or is rendered separately
            ends.append(whole if where[-1] == len(one) - 1 else _render(tokenizer, [one[: where[-1] + 1]], False)[0])
        found.append(_cut(whole, [(next(prompts), end) for end in ends], specials))
    return found


def _cut(whole: str, turns: Sequence[tuple[str, str]], specials: Sequence[str]) -> list[tuple[str, bool]]:
    """Return `whole` in pieces. `turns`: for each assistant turn, the renderings up to its start and up to its end."""
    pattern = _pattern(tuple(specials))
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, end in turns:
        if not (end.startswith(start) and whole.startswith(end)):
            raise TrainError(
                "this chat template rewrites earlier turns of a conversation, so the assistant's tokens cannot be located\n"
                "    -> choose sft.template=chatml or sft.template=default"
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
    """Return the ids at which generation stops: the token that ends an assistant turn, then the end-of-text token."""
    conversation = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    turn = next(text for text, trained in segments(tokenizer, conversation, specials) if trained)
    token = next(token for token in specials if turn.endswith(token))
    ids: Any = tokenizer.convert_tokens_to_ids([token])
    return list(dict.fromkeys([int(ids[0]), int(tokenizer.eos_token_id)]))


def _render(tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Sequence[Message]], prompt: bool) -> list[str]:
    from jinja2 import TemplateError

    if not conversations:
        return []
    plain: Any = [list(conversation) for conversation in conversations]
    try:
        rendered: Any = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
    except TemplateError as error:
        if len(conversations) > 1:  # render one by one to find the faulty one
            return [text for conversation in conversations for text in _render(tokenizer, [conversation], prompt)]
        raise TrainError(
            f"the chat template rejects a conversation with the roles {[m['role'] for m in conversations[0]]}: {error}\n"
            "    -> choose another sft.template, or correct the data"
        ) from error
    return list(rendered)
