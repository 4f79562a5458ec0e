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

from gra.errors import TrainError
from gra.eval.inference import cached
from gra.eval.inference.harness import load
from gra.eval.inference.reply_store import ReplyStore
from gra.eval.settings import Model, Runtime
from gra.train import templates
from gra.train.data import rows

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
    backend.post_processor = TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, own.convert_tokens_to_ids(BOS))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=BOS, eos_token=own.eos_token, pad_token=own.pad_token
    )
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
    with ReplyStore(folder / f"{model.backend}-{model.send}-{chat}.sqlite") as store:
        cached.keep(front, backend, store, "model")
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

    if template == "default":  # train/data/rows.py, to the token
        (sample,) = rows.Tokeniser(tokenizer, cutoff=200).encode([TALK])
        assert isinstance(sample, rows.Sample)
        trained = [token for token, label in zip(sample.ids, sample.labels, strict=True) if label == rows.IGNORED]
        trained = trained[: next(n for n, label in enumerate(sample.labels) if label != rows.IGNORED)]
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
        # lm-eval's gen_prefix
        begun = load(talk, CPU, chat=True)[0].apply_chat_template(TALK, add_generation_prompt=False)
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

    pairs = [
        ("The answer to 1 plus 2", " is 3"),
        ("", "The answer"),
        ("The answer ", "is"),
        ("The answer to 1 plus 2", " is 5"),
    ]
    requests = [Request(*pair) for pair in pairs]
    alone = HFLM(pretrained=str(tiny_chat_model), device="cpu", batch_size=2)
    front, backend = load(Model(path=str(tiny_chat_model)), CPU, chat=False)
    with ReplyStore(tmp_path / "hf.sqlite") as store:
        cached.keep(front, backend, store, "model")
        assert front.loglikelihood(requests) == alone.loglikelihood(requests)
        rolling = [Request("The answer to 1 plus 2 is 3")]
        assert front.loglikelihood_rolling(rolling) == pytest.approx(alone.loglikelihood_rolling(rolling))

    split = [(head, tail) for _, head, tail in _split_of(alone, requests)]
    front, backend = load(Model(path=str(tiny_chat_model), backend="vllm"), CPU, chat=False)
    with ReplyStore(tmp_path / "vllm.sqlite") as store:
        cached.keep(front, backend, store, "model")
        assert front.loglikelihood(requests) == [(-0.5 * len(tail), True) for _, tail in split]
    assert sorted(ids for ids, _ in vllm.asked) == sorted(head + tail for head, tail in split)


def _split_of(lm: Any, requests: list[Request]) -> Any:
    found: list[Any] = []
    lm._loglikelihood_tokens = lambda asked, **_: found.extend(asked) or [(0.0, False)] * len(asked)
    lm.loglikelihood(requests)
    return found


@pytest.mark.parametrize("template", ["default", WRITES_BOS], ids=["writes none", "writes its own"])
@pytest.mark.parametrize("bos", ["model", "never", "always"])
def test_the_beginning_of_text_token_is_a_choice_of_training_and_of_scoring(
    bos: str, template: str, tiny_chat_model: Path, tmp_path: Path
) -> None:
    """On a tokenizer like Llama's: what is chosen for training is saved with it, and scoring can choose otherwise."""
    folder, tokenizer = with_bos(tiny_chat_model, tmp_path / "bos", template)
    (tmp_path / "saved").mkdir()
    count = {"model": int(template != "default"), "never": 0, "always": 1}
    templates.install(tokenizer, "default" if template == "default" else "tokenizer", bos)
    (sample,) = rows.Tokeniser(tokenizer, cutoff=200).encode([TALK])
    assert isinstance(sample, rows.Sample)
    ids = list(sample.ids)
    start = tokenizer.convert_tokens_to_ids(BOS)
    assert ids.count(start) == count[bos]
    assert not count[bos] or (ids[0], sample.labels[0]) == (start, rows.IGNORED)
    tokenizer.save_pretrained(folder)
    for scored in ("model", "never", "always"):
        front, _ = load(Model(path=str(folder)), CPU, True, scored)
        (prompt,) = front.tokens([front.apply_chat_template(TALK[:1])])
        assert prompt.count(start) == (count[bos] if scored == "model" else count[scored])
        plain = [token for token in prompt if token != start]
        assert plain == [token for token in ids if token != start][: len(plain)]


def test_a_tokenizer_without_the_token_is_left_as_it_is(tiny_chat_model: Path) -> None:
    """As Qwen2.5's: the choices render the same prompt, in training and in scoring."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_chat_model)
    tokenizer.bos_token = None
    found = set()
    for bos in ("model", "never", "always"):
        templates.install(tokenizer, "default", bos)
        found.add(str(tokenizer.apply_chat_template(TALK[:1], tokenize=False, add_generation_prompt=True)))
    assert len(found) == 1


def test_a_template_that_spells_the_token_out_cannot_leave_it_out(tiny_chat_model: Path, tmp_path: Path) -> None:
    _, tokenizer = with_bos(tiny_chat_model, tmp_path / "bos", WRITES_BOS.replace("{{ bos_token }}", BOS))
    with pytest.raises(TrainError, match="spells its beginning-of-text token out"):
        templates.install(tokenizer, "tokenizer", "never")


def test_a_choice_that_nothing_here_could_follow_is_refused() -> None:
    from gra.eval.settings import EvalSettings
    from gra.eval.suite.model_check import model_problems

    def keys(suite: dict[str, Any], **model: Any) -> set[str]:
        settings = EvalSettings(suite={"name": "s", "bos": "always", **suite}, model={"path": "m", **model})
        return {problem.key for problem in model_problems(settings, {})}

    assert "suite.bos" in keys({"apply_chat_template": False})
    assert "suite.bos" in keys({}, backend="server", base_url="http://127.0.0.1:1/v1", send="messages")
    assert "suite.bos" not in keys({})
