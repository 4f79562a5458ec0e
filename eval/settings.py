"""What a user can set for an evaluation: `seed`, `suite` (conf/suite/*.yaml), `model` (when run alone) and `runtime`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from gra.settings import Settings
from gra.tracking import TrackingSettings

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=120)]  # names files, too

# Tokens of a reply where neither the suite nor the task says how many: a chat model that thinks before it answers seldom needs
# more. Without a chat template it is lm-eval's own number, which suits base models: they go on until they are stopped.
CHAT_TOKENS, PLAIN_TOKENS = 2048, 256


class Suite(Settings):
    """Which tasks, and how they are asked. `groups` names the families that scores are grouped by ({group: [task]}); members that
    are not among `tasks` play no part, so that a part of a suite keeps its groups.

    With `only`, `tasks` are those of the suite that it names, in the suite's order; a group's name stands for its members.
    """

    name: str
    tasks: tuple[TaskName, ...] = ()
    only: tuple[TaskName, ...] | None = Field(default=None, min_length=1)
    groups: Annotated[dict[str, tuple[TaskName, ...]], BeforeValidator(lambda given: given or {})] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)  # items of each task, drawn as subset.py has it; None: all
    limit_seed: int = 0  # draws them: not the run's own seed, so that every model and replicate gets the same items
    data_dir: str | None = None  # None: tasks load their data from the hub
    skip_missing: bool = False  # a task whose data are missing is left out, with no score; else that is an error
    max_new_tokens: int | None = Field(default=None, ge=1)  # None: what each task says, CHAT_TOKENS where it says nothing
    num_fewshot: int | None = Field(default=None, ge=0)  # None: what each task says
    fewshot_as_multiturn: bool = True
    fewshot_seed: int = 1234  # lm-eval's own default, so that the same examples are shown as by its command line
    apply_chat_template: bool = True
    system_instruction: str | None = None
    sandbox: Literal["auto", "none"] = "auto"  # none: model-written code runs with your rights, limits on time and memory alone

    @model_validator(mode="before")
    @classmethod
    def _part(cls, given: Any) -> Any:
        return chosen(given) if isinstance(given, Mapping) and given.get("only") else given

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        twice = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if twice:
            raise ValueError(f"tasks named more than once: {', '.join(twice)}")
        grouped = [task for members in self.groups.values() for task in members]
        twice = sorted({task for task in grouped if grouped.count(task) > 1})
        if twice:
            raise ValueError(f"groups: in more than one group, or twice in one: {', '.join(twice)}")
        return self


def chosen(suite: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's plain config with the tasks that its `only` names. Raises ValueError for a name that is not in the suite.

    What is not of the right shape is left as it is: the fields' own checks will tell.
    """
    tasks, only, groups = suite.get("tasks"), suite.get("only"), suite.get("groups") or {}
    lists = [tasks, only, *(groups.values() if isinstance(groups, Mapping) else [None])]
    if not all(isinstance(one, list | tuple) and all(isinstance(name, str) for name in one) for one in lists):
        return dict(suite)
    assert isinstance(tasks, list | tuple)
    assert isinstance(only, list | tuple)
    kept: set[str] = set()
    for name in only:
        mine = {name} if name in tasks else set(groups.get(name, ())) & set(tasks)
        if not mine:
            near = difflib.get_close_matches(name, [*tasks, *groups], n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"only: {name} is not in the suite. {meant}It has {', '.join(tasks) or 'no tasks'}"
                f"{', in the groups ' + ', '.join(groups) if groups else ''}"
            )
        kept |= mine
    return {**suite, "tasks": [task for task in tasks if task in kept]}


class Model(Settings):
    """The model, a local folder or a hub id (none where an earlier step made it), and what runs it.

    With backend=server, `path` is where the tokenizer is that renders the prompts; with send=messages the server renders them,
    and `path` is a name alone.
    """

    path: str = ""
    revision: str = "main"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    backend: Literal["hf", "vllm", "server"] = "hf"
    max_length: int | None = Field(default=None, ge=16)  # tokens of prompt and reply together; None: what the model's config says
    base_url: str | None = Field(default=None, pattern=r"^https?://\S+$")  # of a server, up to /v1
    name: str | None = Field(default=None, min_length=1)  # what the server calls the model; None: `path`
    send: Literal["tokens", "text", "messages"] = "tokens"  # what a server is sent
    version: str | None = Field(default=None, min_length=1)  # tells models apart that a server serves under one name in turn
    refused: Literal["error", "empty"] = "error"  # prompts that a server keeps refusing: end in an error, or count as empty replies
    api_key_env: str = "OPENAI_API_KEY"  # the variable that holds the server's key, if it wants one

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if (self.backend == "server") != (self.base_url is not None):
            raise ValueError("backend=server and base_url=http://HOST:PORT/v1 go together: give both or neither")
        if self.backend != "server" and (self.version is not None or self.refused != "error"):
            raise ValueError("version and refused are for backend=server: drop them")
        return self


class Runtime(Settings):
    """Changes speed only (beyond the last bits of floating point, which batches of another shape may round differently)."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"  # hf: prompts at once; auto: on a GPU what fits, on a CPU 64
    device: str = "auto"  # hf: auto | cpu | cuda | cuda:N | mps
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"  # hf: copies of the model; auto: one on each GPU
    threads: int | None = Field(default=None, ge=1)  # CPU threads of torch; None: torch's own choice
    tensor_parallel_size: int = Field(default=1, ge=1)  # vllm: GPUs that share one copy
    data_parallel_size: int = Field(default=1, ge=1)  # vllm: copies (more than one needs ray)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)  # vllm
    concurrency: int = Field(default=64, ge=1)  # server: calls in flight
    timeout_s: float = Field(default=600, gt=0)  # server: for one reply
    retries: int = Field(default=8, ge=0)  # server: repetitions of a call after passing faults
    tracking: TrackingSettings = TrackingSettings(mode="none")  # W&B
    reuse: tuple[str, ...] = ()  # folders whose kept replies answer what they can, at any depth


class EvalSettings(Settings):
    """The whole config of the stage."""

    seed: int = 0  # only tasks that sample their replies draw from it
    suite: Suite
    model: Model | None = None
    runtime: Runtime = Runtime()
