"""Every token that the model is fed, and whether it is trained: read back from the trainer's own batches."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gra.errors import TrainError
from gra.private_api import trl
from gra.train import templates
from gra.train.loop import sft
from gra.train.settings import TrainSettings

HEADER = (  # in the manner of Llama 3: a header for each role, content trimmed by the template
    "{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\\n\\n' + m['content'] | trim + '<|endoftext|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n\\n' -}}{%- endif -%}"
)
END = "<|endoftext|>"
OWN_TEMPLATES = ["default", "chatml", "llama3", "qwen"]


def expected(template: str, q1: str, a1: str, q2: str, a2: str) -> list[tuple[str, bool]]:
    """The rendering of a two-turn talk, written out by hand: (text, trained)."""
    if template == "default":
        return [
            (f"Human: {q1}{END}\nAssistant:", False),
            (f"{a1}{END}", True),
            (f"\nHuman: {q2}{END}\nAssistant:", False),
            (f"{a2}{END}", True),
            ("\n", False),
        ]
    if template == "chatml":
        return [
            (f"<|im_start|>user\n{q1}<|im_end|>\n<|im_start|>assistant\n", False),
            (f"{a1}<|im_end|>", True),
            (f"\n<|im_start|>user\n{q2}<|im_end|>\n<|im_start|>assistant\n", False),
            (f"{a2}<|im_end|>", True),
            ("\n", False),
        ]
    if template == "qwen":
        system = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        first, *rest = expected("chatml", q1, a1, q2, a2)
        return [(system + first[0], False), *rest]
    if template == "llama3":
        user, assistant = (f"<|start_header_id|>{role}<|end_header_id|>\n\n" for role in ("user", "assistant"))
        q1, a1, q2, a2 = (text.strip() for text in (q1, a1, q2, a2))  # as Meta's own template does
        return [
            (f"{user}{q1}<|eot_id|>{assistant}", False),
            (f"{a1}<|eot_id|>", True),
            (f"{user}{q2}<|eot_id|>{assistant}", False),
            (f"{a2}<|eot_id|>", True),
        ]
    return [
        (f"<|im_start|>user\n\n{q1}{END}<|im_start|>assistant\n\n", False),
        (f"{a1}{END}", True),
        (f"<|im_start|>user\n\n{q2}{END}<|im_start|>assistant\n\n", False),
        (f"{a2}{END}", True),
    ]


def with_header_template(student_folder: Path, folder: Path) -> Path:
    shutil.copytree(student_folder, folder)
    (folder / "model" / "chat_template.jinja").write_text(HEADER, encoding="utf-8")
    return folder


def documents(batch: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """(ids, labels) of every document in a batch, whether it is padded or packed."""
    ids, labels = batch["input_ids"].tolist(), batch["labels"].tolist()
    if "position_ids" in batch:
        starts = [i for i, p in enumerate(batch["position_ids"][0].tolist()) if p == 0] + [len(ids[0])]
        return [(ids[0][a:b], labels[0][a:b]) for a, b in itertools.pairwise(starts)]
    found = []
    for row, marks, mask in zip(ids, labels, batch["attention_mask"].tolist(), strict=True):
        length = sum(mask)
        assert set(marks[length:]) <= {-100}, "padding is trained"
        found.append((row[:length], marks[:length]))
    return found


@pytest.fixture(scope="module")
def long_student(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student with 256 positions (its weights do not depend on them): Qwen's system message takes 70."""
    folder = tmp_path_factory.mktemp("long") / "student"
    shutil.copytree(student_folder, folder)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        path = folder / "model" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: 256}))
    return folder


TALKS = [(f"Why {n}?", "Because." * (1 + n % 3), "And then: (", f") {n}, said he.\n") for n in range(7)]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("template", [*OWN_TEMPLATES, "tokenizer"])
def test_every_label_the_model_is_fed(
    template: str, packing: bool, long_student: Path, write_data: Callable[..., Path], config: Any, tmp_path: Path
) -> None:
    student = with_header_template(long_student, tmp_path / "student") if template == "tokenizer" else long_student
    texts = [tuple(t.strip() for t in talk) for talk in TALKS] if template == "tokenizer" else TALKS
    data = write_data(
        [[{"role": r, "content": c} for r, c in zip(["user", "assistant"] * 2, t, strict=True)] for t in texts]
    )
    stage_config = TrainSettings.model_validate(
        config(template=template, packing=packing, global_batch=2, cutoff_length=256)
    )
    trainer, tokenizer, _ = sft.build_trainer(stage_config, {"data": data, "student": student}, tmp_path)
    wanted = []
    for talk in texts:
        ids: list[int] = []
        labels: list[int] = []
        for text, trained in expected(template, *talk):
            new = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids += new
            labels += new if trained else [-100] * len(new)
        wanted.append((ids, labels))
    fed = [document for batch in trainer.get_train_dataloader() for document in documents(batch)]
    assert sorted(fed) == sorted(wanted)
    if packing:
        batches = list(trainer.get_train_dataloader())
        assert len(fed) > sum(len(b["position_ids"]) for b in batches)
        assert "attention_mask" not in batches[0]
    messages = [{"role": "user", "content": texts[0][0]}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert any(ids[: len(prompt)] == prompt and labels[len(prompt)] != -100 for ids, labels in fed), (
        "not what generation is asked"
    )


def test_the_loss_is_the_mean_over_trained_tokens_of_the_global_batch(
    student_folder: Path, write_data: Callable[..., Path], config: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    data = write_data(
        [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b " * n}] for n in (1, 2, 20, 3)]
    )
    settings_ = config(global_batch=4, max_steps=1)
    settings_["runtime"]["per_device_batch"] = 1
    inputs = {"data": data, "student": student_folder}
    trainer, _, _ = sft.build_trainer(TrainSettings.model_validate(settings_), inputs, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(student_folder / "model")
    total, count = 0.0, 0
    for batch in trainer.get_train_dataloader():
        with torch.no_grad():
            logits = model(input_ids=batch["input_ids"]).logits[0, :-1]
        target = batch["labels"][0, 1:]
        total += torch.nn.functional.cross_entropy(logits, target, reduction="sum", ignore_index=-100).item()
        count += int((target != -100).sum())
    with trl.trained_positions_only():
        trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(total / count, abs=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packing_does_not_leak_and_a_leak_is_refused(attention: str, student_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    from gra.train.student.load import refuse_leak

    model = AutoModelForCausalLM.from_pretrained(student_folder / "model", attn_implementation=attention)
    refuse_leak(model)
    forward = model.model.forward
    # deaf to positions
    model.model.forward = lambda *args, **kwargs: forward(*args, **{**kwargs, "position_ids": None})
    with pytest.raises(TrainError, match="attend to each other"):
        refuse_leak(model)


@pytest.fixture(scope="module")
def tokenizers(student_folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer

    found = {}
    for name in OWN_TEMPLATES:
        found[name] = AutoTokenizer.from_pretrained(student_folder / "model")
        templates.install(found[name], name)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=6), name=st.sampled_from(OWN_TEMPLATES))
def test_segments_are_the_whole_rendering_and_the_assistants_words(
    contents: list[str], name: str, tokenizers: Any
) -> None:
    tokenizer = tokenizers[name]
    contents = contents[: len(contents) // 2 * 2]
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]
    pieces = templates.segments(tokenizer, messages, templates.special_tokens(tokenizer))
    assert "".join(text for text, _ in pieces) == tokenizer.apply_chat_template(messages, tokenize=False)
    spoken = [text.strip() if name == "llama3" else text for text in contents[1::2]]
    assert [text for text, trained in pieces if trained] == [text + tokenizer.eos_token for text in spoken]


def test_a_beginning_of_text_token_is_written_once_and_not_trained(student_folder: Path) -> None:
    """llama3 begins with the tokenizer's own; default has none (evaluation renders the same template)."""
    from transformers import AutoTokenizer

    talk = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "a"), ("assistant", "b"))]
    for name, count in (("llama3", 1), ("default", 0), ("qwen", 0)):
        tokenizer = AutoTokenizer.from_pretrained(student_folder / "model", bos_token="<|pad|>")
        templates.install(tokenizer, name)
        pieces = templates.segments(tokenizer, talk, templates.special_tokens(tokenizer))
        assert "".join(text for text, _ in pieces).count("<|pad|>") == count
        assert "".join(text for text, trained in pieces if trained) == f"b{tokenizer.eos_token}"
        assert pieces[0][0].startswith("<|pad|>") == (name == "llama3")
        assert "You are Qwen" not in pieces[0][0]  # the talk has a system message of its own


@pytest.mark.parametrize(("name", "told"), [("llama3", False), ("default", True), ("chatml", True)])
def test_a_template_without_the_start_that_the_student_is_used_to_is_told(
    name: str, told: bool, student_folder: Path
) -> None:
    """As of Gemma, whose tokenizer puts <bos> before every text: no row gets two, and one without any is said to have none."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(student_folder / "model", bos_token="<|pad|>")
    templates.install(tokenizer, name)
    assert templates.missing_start(tokenizer) is None  # this tokenizer puts none itself
    number = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", number)]
    )
    assert tokenizer("a")["input_ids"][0] == number
    found = templates.missing_start(tokenizer)
    assert (found is not None) is told
    assert not told or "without the tokenizer's beginning-of-text token <|pad|>" in str(found)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    pieces = templates.segments(tokenizer, talk, templates.special_tokens(tokenizer))
    ids = tokenizer("".join(text for text, _ in pieces), add_special_tokens=False)["input_ids"]
    assert ids.count(number) == (not told)


def test_templates_that_cannot_be_masked_are_refused(tokenizers: Any, student_folder: Path) -> None:
    from transformers import AutoTokenizer

    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2
    tokenizer = AutoTokenizer.from_pretrained(student_folder / "model")
    specials = templates.special_tokens(tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    with pytest.raises(TrainError, match="without a special token"):
        templates.segments(tokenizer, talk, specials)
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}"
    with pytest.raises(TrainError, match="rewrites earlier turns"):
        templates.segments(tokenizer, talk, specials)
    with pytest.raises(TrainError, match="rejects a conversation"):
        templates.segments(tokenizers["default"], [{"role": "tool", "content": "x"}, *talk], specials)
    tokenizer.chat_template = None
    with pytest.raises(TrainError, match="has no chat template"):
        templates.install(tokenizer, "tokenizer")
