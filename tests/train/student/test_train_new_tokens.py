"""New tokens under LoRA: the token that ends a turn is read and written by trained weights, or the recipe is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gra.errors import ConfigError, TrainError
from gra.train import stage
from gra.train.loop import sft
from gra.train.settings import SftSettings, StudentSettings, TrainSettings
from gra.train.student import new_tokens

BOTH = ["embed_tokens", "lm_head"]
Make = Callable[..., Path]


@pytest.fixture
def foreign(student_folder: Path, tmp_path: Path) -> Make:
    """Makes a student without chatml's tokens: tied or not, with as many spare rows in its embeddings as wanted."""

    def make(tied: bool = True, spare: int = 0) -> Path:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = tmp_path / f"student-{tied}-{spare}"
        shutil.copytree(student_folder, folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            path = folder / "model" / name
            path.write_text(json.dumps(json.loads(path.read_text())).replace("<|im_", "<|turn_"))
        model: Any = AutoModelForCausalLM.from_pretrained(folder / "model")
        if not tied:
            weights = model.state_dict()
            model.config.tie_word_embeddings = False
            model = type(model)(model.config)
            model.load_state_dict(weights)
        model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(folder / "model")) + spare)
        model.save_pretrained(folder / "model")
        return folder

    return make


def lora(config: Any, *saved: str, **options: Any) -> Any:
    recipe = {"method": "lora", "template": "chatml", "lora": {"rank": 2, "modules_to_save": list(saved)}}
    return config(**recipe | options)


@pytest.mark.parametrize("saved", [[], ["embed_tokens"], ["lm_head"], ["model.embed_tokens"]])
@pytest.mark.parametrize("tied", [True, False])
def test_either_alone_is_refused_from_the_files(
    saved: list[str], tied: bool, foreign: Make, config: Any, data_folder: Path
) -> None:
    folder = foreign(tied, spare=4)  # rows to spare make no difference: nobody trained them
    given: tuple[Any, ...] = (
        ({"student": {"name": "a"}}, {"student": folder}),
        ({"student": {"model": str(folder / "model")}}, {}),
    )
    for student, inputs in given:
        (fault,) = stage.check(lora(config, *saved) | student, {"data": data_folder, **inputs})
        assert fault.key == "sft.lora.modules_to_save"
        assert "could not generate" in fault.message
        assert "embed_tokens" in fault.remedy
        assert "lm_head" in fault.remedy
        with pytest.raises(ConfigError, match="could not generate"):
            stage.run(lora(config, *saved) | student, {"data": data_folder, **inputs}, folder / "out")


def test_what_is_let_through(foreign: Make, config: Any, data_folder: Path, student_folder: Path) -> None:
    inputs: dict[str, Path | None] = {"data": data_folder, "student": foreign()}
    assert stage.check(lora(config, *BOTH), inputs) == []
    assert stage.check(lora(config, "model.embed_tokens", "lm_head"), inputs) == []
    assert stage.check(lora(config, template="default"), inputs) == []
    assert stage.check(config(template="chatml"), inputs) == []
    assert stage.check(lora(config), {"data": data_folder, "student": student_folder}) == []  # it has the tokens


def test_what_can_be_told_of_students_that_are_not_here() -> None:
    def found(template: str, model: dict[str, Any], kind: str | None, saved: list[str], **inputs: Path | None) -> bool:
        recipe = {"learning_rate": 1e-3, "global_batch": 8, "cutoff_length": 64, "method": "lora", "template": template}
        settings = SftSettings.model_validate({**recipe, "lora": {"modules_to_save": saved}})
        return bool(new_tokens.problems(settings, StudentSettings.model_validate(model), inputs, kind, ""))

    assert not found("chatml", {"model": "owner/name"}, None, [])  # when its tokenizer is here
    assert found("llama3", {"build": {}}, "llama", ["lm_head"], student=None)  # the build has chatml's tokens alone
    assert not found("llama3", {"build": {}}, "llama", BOTH, student=None)
    assert not found("chatml", {"build": {}}, "llama", [], student=None)


def test_names_of_other_architectures(foreign: Make, config: Any) -> None:
    folder = foreign() / "model"
    settings = SftSettings.model_validate(lora(config, "wte", "lm_head")["sft"])
    student = StudentSettings(model=str(folder))
    for kind, faults in (("gpt2", 0), ("llama", 1), ("some_new_kind", 0)):
        assert len(new_tokens.problems(settings, student, {}, kind, str(folder / "config.json"))) == faults


@pytest.mark.parametrize("tied", [True, False])
def test_a_student_whose_files_tell_nothing_is_refused_before_training(
    tied: bool, foreign: Make, config: Any, data_folder: Path, tmp_path: Path
) -> None:
    settings = TrainSettings.model_validate(lora(config, "embed_tokens"))
    for spare in (0, 4):
        (tmp_path / str(spare)).mkdir()
        with pytest.raises(TrainError, match=r"LoRA leaves lm_head untrained.*\n.*\[embed_tokens,lm_head\]"):
            sft.build_trainer(settings, {"data": data_folder, "student": foreign(tied, spare)}, tmp_path / str(spare))


@pytest.mark.parametrize("tied", [True, False])
def test_the_end_token_is_learned_and_the_model_stays_what_it_was(
    tied: bool, foreign: Make, config: Any, data_folder: Path, tmp_path: Path
) -> None:
    """A quarter of the answers end after their first sentence, and the end token is about as likely there (untrained: 0.003);
    a tied student is published tied, and is adapter plus base."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    inputs = {"data": data_folder, "student": foreign(tied)}
    stage.run(lora(config, *BOTH, epochs=12, learning_rate=1e-2), inputs, tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.config.tie_word_embeddings is tied
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) is tied
    talk = [{"role": "user", "content": "What follows 4?"}, {"role": "assistant", "content": "After 4 comes 5."}]
    ids = tokenizer.apply_chat_template(talk, return_tensors="pt", return_dict=True)["input_ids"]
    end = ids[0].tolist().index(tokenizer.eos_token_id, ids[0].tolist().index(tokenizer.eos_token_id) + 1)
    with torch.no_grad():
        logits = model(ids[:, :end]).logits
        assert float(logits[0, -1].softmax(-1)[tokenizer.eos_token_id]) > 0.1
        base: Any = AutoModelForCausalLM.from_pretrained(inputs["student"] / "model")
        base.resize_token_embeddings(len(tokenizer))
        torch.testing.assert_close(
            PeftModel.from_pretrained(base, tmp_path / "adapter")(ids[:, :end]).logits, logits, atol=1e-4, rtol=1e-3
        )
