"""The prompt that a model meets: the same in training and in every backend of the evaluation, to the token.

Also for tokenizers that put a beginning-of-text token first, and for templates that write one themselves (Llama 3's).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from completions_site import serving
from standin_vllm import install

from eval import replies
from eval.harness import load
from eval.settings import Model, Runtime
from eval.store import Store
from train import data, templates

BOS = "<|im_start|>"  # serves here as the beginning-of-text token; the template `default` does not use it
WRITES_BOS = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}assistant: "
TALK = [{"role": "user", "content": "The answer to 1 plus 2?"}, {"role": "assistant", "content": "The answer is 3."}]
CPU = Runtime(device="cpu", batch_size=2, threads=1)


def with_bos(model: Path, folder: Path, template: str) -> tuple[Path, Any]:
    """A copy of `model` whose tokenizer adds BOS to every text, as Llama 3's does, and renders talks by `template`."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    shutil.copytree(model, folder)
    own: Any = AutoTokenizer.from_pretrained(model)
    backend = own.backend_tokenizer
    backend.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, own.convert_tokens_to_ids(BOS))])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS, eos_token=own.eos_token, pad_token=own.pad_token)
    made.chat_template = templates.read("default") if template == "default" else template
    made.save_pretrained(folder)
    return folder, AutoTokenizer.from_pretrained(folder)


class Request:
    """As much of lm-eval's Instance as models look at."""

    task_name = "a_task"

    def __init__(self, *args: Any):
        self.args = args


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The unpadded token ids that reach transformers' `generate`, from here on."""
    from transformers import GenerationMixin

    seen: list[list[int]] = []
    generate = GenerationMixin.generate

    def watched(self: Any, **given: Any) -> Any:
        for ids, mask in zip(given["input_ids"].tolist(), given["attention_mask"].tolist(), strict=True):
            seen.append([token for token, there in zip(ids, mask, strict=True) if there])
        return generate(self, **given)

    monkeypatch.setattr(GenerationMixin, "generate", watched)
    return seen


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The module `vllm`, as standin_vllm.py writes it. lm-eval's class on it stays imported: it cannot be registered twice."""
    folder = str(install(tmp_path_factory.mktemp("standin")))
    sys.path.insert(0, folder)
    import vllm

    yield vllm
    sys.path.remove(folder)
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture
def vllm(standin: Any) -> Any:
    """The same, asked nothing yet."""
    standin.asked.clear()
    return standin


def ask(model: Model, prompts: list[Any], folder: Path, chat: bool = True) -> list[str]:
    front, backend = load(model, CPU, chat)
    decoding = {"until": ["\n\n\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 5}
    with Store(folder / f"{model.backend}-{model.send}-{chat}.sqlite") as store:
        replies.keep(front, backend, store, "model")
        found = front.generate_until([Request(prompt, decoding) for prompt in prompts])
    backend.close()
    return found


@pytest.mark.parametrize("template", ["default", WRITES_BOS], ids=["default", "writes its own"])
def test_training_and_every_backend_feed_the_same_prompt(
    template: str, tiny_chat_model: Path, tmp_path: Path, generated: list[list[int]], vllm: Any
) -> None:
    folder, tokenizer = with_bos(tiny_chat_model, tmp_path / "bos", template)
    bos = tokenizer.convert_tokens_to_ids(BOS)
    assert tokenizer("word")["input_ids"][0] == bos  # left alone it adds one

    if template == "default":  # train/data.py, to the token
        (sample,) = data.Tokeniser(tokenizer, cutoff=200).encode([TALK])
        assert isinstance(sample, data.Sample)
        trained = [token for token, label in zip(sample.ids, sample.labels, strict=True) if label == data.IGNORED]
        trained = trained[: next(n for n, label in enumerate(sample.labels) if label != data.IGNORED)]
    else:
        text = tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
        trained = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert trained.count(bos) == (0 if template == "default" else 1)

    hf = Model(path=str(folder))
    front, _ = load(hf, CPU, chat=True)
    prompt = front.apply_chat_template(TALK[:1])
    assert prompt == tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)
    assert front.tokens([prompt]) == [trained]
    assert front.tok_encode(prompt) == trained  # what log-likelihoods are taken of

    ask(hf, [prompt], tmp_path)
    assert generated == [trained]

    assert ask(Model(path=str(folder), backend="vllm"), [prompt], tmp_path) == [f"I heard {len(trained)}"]
    ((ids, params),) = vllm.asked
    assert (ids, params.max_tokens, params.temperature, params.skip_special_tokens) == (trained, 5, 0.0, True)
    assert params.stop == ["\n\n\n", tokenizer.eos_token]

    with serving() as site:
        served = Model(path=str(folder), backend="server", base_url=site.url, name="m")
        assert ask(served, [prompt], tmp_path) == [f"I heard {len(trained)}"]
        assert ask(served.model_copy(update={"send": "text"}), [prompt], tmp_path) == [f"I heard {len(prompt)}"]
        talk = served.model_copy(update={"send": "messages"})
        message = load(talk, CPU, chat=True)[0].apply_chat_template(TALK[:1])
        begun = load(talk, CPU, chat=True)[0].apply_chat_template(TALK, add_generation_prompt=False)  # lm-eval's gen_prefix
        ask(talk, [message], tmp_path)
        ask(talk, [begun], tmp_path)
    tokens, text, messages, goes_on = site.bodies
    assert tokens["prompt"] == [trained]
    assert text["prompt"] == prompt
    assert text["add_special_tokens"] is False  # else the server puts a second beginning-of-text token first
    assert goes_on["messages"] == TALK
    assert (goes_on["continue_final_message"], goes_on["add_generation_prompt"]) == (True, False)
    assert not {"continue_final_message", "add_special_tokens"} & {*tokens, *messages}
    assert messages["messages"] == TALK[:1]
    for body in (tokens, text, messages):
        assert (body["model"], body["max_tokens"], body["temperature"], body["stop"][0]) == ("m", 5, 0.0, "\n\n\n")
    assert tokens["stop"] == text["stop"] == ["\n\n\n", tokenizer.eos_token]


def test_without_a_chat_template_the_tokenizers_own_habit_holds(
    tiny_chat_model: Path, tmp_path: Path, generated: list[list[int]], vllm: Any
) -> None:
    folder, tokenizer = with_bos(tiny_chat_model, tmp_path / "bos", "default")
    texts = ["a word", f"{BOS}a word that brings its own"]
    expected = [tokenizer(texts[0])["input_ids"], tokenizer(texts[1], add_special_tokens=False)["input_ids"]]
    bos = tokenizer.convert_tokens_to_ids(BOS)
    assert [ids.count(bos) for ids in expected] == [1, 1]
    for text in texts:  # one at a time: HFLM looks at the first prompt of a batch alone
        ask(Model(path=str(folder)), [text], tmp_path, chat=False)
    assert generated == expected
    ask(Model(path=str(folder), backend="vllm"), texts, tmp_path, chat=False)
    assert sorted(ids for ids, _ in vllm.asked) == sorted(expected)
    with serving() as site:
        ask(Model(path=str(folder), backend="server", base_url=site.url), texts, tmp_path, chat=False)
        assert sorted(body["prompt"][0] for body in site.bodies) == sorted(expected)
        ask(Model(path=str(folder), backend="server", base_url=site.url, send="text"), texts, tmp_path, chat=False)
    assert {body["prompt"]: body["add_special_tokens"] for body in site.bodies[2:]} == {texts[0]: True, texts[1]: False}


def test_log_likelihoods_are_of_the_same_tokens(tiny_chat_model: Path, tmp_path: Path, vllm: Any) -> None:
    from lm_eval.models.huggingface import HFLM

    pairs = [("The answer to 1 plus 2", " is 3"), ("", "The answer"), ("The answer ", "is"), ("The answer to 1 plus 2", " is 5")]
    requests = [Request(*pair) for pair in pairs]
    alone = HFLM(pretrained=str(tiny_chat_model), device="cpu", batch_size=2)
    front, backend = load(Model(path=str(tiny_chat_model)), CPU, chat=False)
    with Store(tmp_path / "hf.sqlite") as store:
        replies.keep(front, backend, store, "model")
        assert front.loglikelihood(requests) == alone.loglikelihood(requests)
        rolling = [Request("The answer to 1 plus 2 is 3")]
        assert front.loglikelihood_rolling(rolling) == pytest.approx(alone.loglikelihood_rolling(rolling))

    split = [(head, tail) for _, head, tail in _split_of(alone, requests)]
    front, backend = load(Model(path=str(tiny_chat_model), backend="vllm"), CPU, chat=False)
    with Store(tmp_path / "vllm.sqlite") as store:
        replies.keep(front, backend, store, "model")
        assert front.loglikelihood(requests) == [(-0.5 * len(tail), True) for _, tail in split]
    assert sorted(ids for ids, _ in vllm.asked) == sorted(head + tail for head, tail in split)


def _split_of(lm: Any, requests: list[Request]) -> Any:
    found: list[Any] = []
    lm._loglikelihood_tokens = lambda asked, **_: found.extend(asked) or [(0.0, False)] * len(asked)
    lm.loglikelihood(requests)
    return found
