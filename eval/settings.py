"""What a user can set for an evaluation: `seed`, `suite` (conf/suite/*.yaml), `model` (when run alone) and `runtime`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gra.settings import Settings

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=120)]  # names files, too


class Suite(Settings):
    """Which tasks, and how they are asked. `groups` names the families that scores are grouped by ({group: [task]})."""

    name: str
    tasks: tuple[TaskName, ...] = Field(min_length=1)
    groups: dict[str, tuple[TaskName, ...]] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)  # the first so many items of each task; None: all
    data_dir: str | None = None  # None: official tasks load their data from the hub
    max_new_tokens: int | None = Field(default=None, ge=1)  # None: what each task says
    num_fewshot: int | None = Field(default=None, ge=0)  # None: what each task says
    fewshot_as_multiturn: bool = True
    fewshot_seed: int = 1234  # lm-eval's own default, so that the same examples are shown as by its command line
    apply_chat_template: bool = True
    system_instruction: str | None = None
    sandbox: Literal["auto", "none"] = "auto"  # none: model-written code runs with your rights, limits on time and memory alone

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        twice = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if twice:
            raise ValueError(f"tasks named more than once: {', '.join(twice)}")
        grouped = [task for members in self.groups.values() for task in members]
        strange = sorted({task for task in grouped if task not in self.tasks or grouped.count(task) > 1})
        if strange:
            raise ValueError(f"groups: not in tasks, or in more than one group: {', '.join(strange)}")
        return self


class Model(Settings):
    """The model, where no earlier step made it: a local folder or a hub id."""

    path: str = Field(min_length=1)
    revision: str = "main"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False


class Runtime(Settings):
    """Changes speed only (beyond the last bits of floating point, which batches of another shape may round differently)."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"  # auto: on a GPU the largest that fits, on a CPU `CPU_BATCH`
    device: str = "auto"  # auto | cpu | cuda | cuda:N | mps
    threads: int | None = Field(default=None, ge=1)  # CPU threads of torch; None: torch's own choice


class EvalSettings(Settings):
    """The whole config of the stage."""

    seed: int = 0  # only tasks that sample their replies draw from it
    suite: Suite
    model: Model | None = None
    runtime: Runtime = Runtime()
