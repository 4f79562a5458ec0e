"""Defines the settings of an evaluation: `seed`, `suite` (conf/suite/*.yaml), `model` (outside a chain) and `runtime`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from gra import spelling
from gra.settings import Settings
from gra.tracking import TrackingSettings

TaskName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=120)
]  # also used in file names
Groups = dict[str, tuple[TaskName, ...]]

# The token limit of a reply if neither the suite nor the task sets one, with and without a chat template. A chat model that
# reasons before it answers seldom needs more. Base models get lm-eval's limit, because they generate until they are stopped.
CHAT_TOKENS, PLAIN_TOKENS = 2048, 256


class Suite(Settings):
    """The tasks and how they are evaluated."""

    name: str = Field(description="Name of the suite in scores and tables.")
    tasks: tuple[TaskName, ...] = Field(
        (),
        description="Tasks or groups, by name. They come from lm-eval, from this project (eval/tasks) or from `task_dir`.",
    )
    task_dir: str | None = Field(
        None,
        description="Folder of benchmarks of your own: one YAML per task in lm-eval's format, named after the task; null: none.",
    )
    only: tuple[TaskName, ...] | None = Field(
        None,
        min_length=1,
        description="The `tasks` to evaluate, in the suite's order; a group's name stands for its members; null: all.",
    )
    groups: Annotated[Groups, BeforeValidator(lambda given: given or {}, json_schema_input_type=Groups | None)] = Field(
        default_factory=dict,
        description="Mapping from group name to the tasks that the group's mean score averages. Members that are not in "
        "`tasks` are ignored; null: no groups.",
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="Number of items per task, drawn from each subject in proportion to its size (eval/suite/subset.py). Every "
        "model gets "
        "the same items. Scores with different limits are not comparable; null: all items.",
    )
    limit_seed: int = Field(
        0, description="Seed that draws the items of `limit`; all models and replicates must share it."
    )
    data_dir: str | None = Field(
        None,
        description="Folder of benchmark files, made by `gra fetch suite=paper output=DIR`; null: items are loaded from the hub.",
    )
    skip_missing: bool = Field(
        False, description="true: a task without data is skipped and gets no score; false: it is an error."
    )
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Longest reply in tokens; null: each task's own limit; a task without one gets "
        f"{CHAT_TOKENS} with a chat template and {PLAIN_TOKENS} (lm-eval's default) without.",
    )
    num_fewshot: int | None = Field(
        None,
        ge=0,
        description="Number of worked examples (few-shot); null: each task's own. A task defined as zero-shot stays so, "
        "whether or not this is set.",
    )
    fewshot_as_multiturn: bool = Field(
        True, description="true: worked examples are turns of the conversation; false: all are in one message."
    )
    fewshot_seed: int = Field(1234, description="Seed that draws the worked examples. 1234: lm-eval's default.")
    apply_chat_template: bool = Field(
        True, description="true: render prompts with the model's chat template; false: plain text, as for base models."
    )
    bos: Literal["model", "never", "always"] = Field(
        "model",
        description="Whether each rendered prompt begins with the beginning-of-text token. model: if the chat template writes "
        "it; never; "
        "always. No effect if the tokenizer has no such token (Qwen2.5).",
    )
    system_instruction: str | None = Field(None, description="System message of every prompt; null: none.")
    sandbox: Literal["auto", "none"] = Field(
        "auto",
        description="How code that a model wrote is run. auto: in a sandbox; the evaluation is refused if there is none. "
        "none: with your user's permissions, limited only in time and memory.",
    )

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
            raise ValueError(
                f"groups: a task may be in one group, once; these are in more than one group, or twice in one: {', '.join(twice)}"
            )
        return self


def chosen(suite: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suite's config in which `tasks` lists only the tasks that the key `only` names.

    Raises ValueError for a name that is not in the suite. If a value of the config has the wrong type, the config is
    returned unchanged, because later checks report the fault.
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
            near = spelling.near(name, [*tasks, *groups], cutoff=0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                f"only: {name} is not in the suite. {meant}It has {', '.join(tasks) or 'no tasks'}"
                f"{', in the groups ' + ', '.join(groups) if groups else ''}"
            )
        kept |= mine
    return {**suite, "tasks": [task for task in tasks if task in kept]}


class Model(Settings):
    """The model to evaluate, and the backend that runs it. In an experiment, an earlier step provides the model."""

    path: str = Field(
        "",
        description="Model folder or hub id. With backend=server it names the tokenizer that renders the prompts; with "
        "send=messages "
        "it is only a label.",
    )
    revision: str = Field("main", description="Commit, tag or branch of the hub id.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="dtype of the weights; auto: as saved."
    )
    trust_remote_code: bool = Field(False, description="true: run the code of the model's repository.")
    backend: Literal["hf", "vllm", "server"] = Field(
        "hf",
        description="hf: transformers; vllm: the package vLLM, if installed, in this process; server: an OpenAI-compatible server.",
    )
    max_length: int | None = Field(
        None, ge=16, description="Maximum number of tokens of prompt and reply together; null: from the model's config."
    )
    base_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="URL of the server including /v1; null: without a server."
    )
    name: str | None = Field(None, min_length=1, description="Name of the model at the server; null: `path`.")
    send: Literal["tokens", "text", "messages"] = Field(
        "tokens",
        description="What is sent to a server. tokens, text: a prompt that was rendered here; messages: the conversation, which "
        "the server renders.",
    )
    version: str | None = Field(
        None,
        min_length=1,
        description="Any text that names the server's weights. Change it if the weights under the same name change; otherwise "
        "stored "
        "replies of the old weights are reused; null: no version.",
    )
    refused: Literal["error", "empty"] = Field(
        "error",
        description="What to do with prompts that the server keeps refusing. error: the run fails after all other calls; empty: "
        "they are "
        "scored as empty replies and counted.",
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        description="NAME of the environment variable that holds the server's API key; if it is unset, no key is sent.",
    )

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if (self.backend == "server") != (self.base_url is not None):
            raise ValueError("backend=server and base_url=http://HOST:PORT/v1 need each other: set both or neither")
        if self.backend != "server" and (self.version is not None or self.refused != "error"):
            raise ValueError("version and refused need backend=server: remove them")
        return self


class Runtime(Settings):
    """Keys that change only the speed and, through the shape of batches, floating-point noise."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Prompts per batch (backend hf). auto: as many as fit on a GPU; 64 on a CPU."
    )
    device: str = Field(
        "auto",
        description="Device of the model (backend hf), e.g. cpu, cuda, cuda:1 or mps; auto: a GPU if there is one.",
    )
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Number of processes, each with a copy of the model, that share the prompts (backend hf). auto: one per GPU.",
    )
    threads: int | None = Field(None, ge=1, description="Number of torch threads on a CPU; null: torch's default.")
    tensor_parallel_size: int = Field(
        1, ge=1, description="Number of GPUs that share one copy of the model (backend vllm)."
    )
    data_parallel_size: int = Field(
        1, ge=1, description="Number of copies of the model (backend vllm); more than one needs ray."
    )
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="Fraction of each GPU's memory that vLLM may use (backend vllm)."
    )
    concurrency: int = Field(64, ge=1, description="Limit on calls in flight (backend server).")
    timeout_s: float = Field(600, gt=0, description="Longest wait for one reply, in seconds (backend server).")
    retries: int = Field(8, ge=0, description="Limit on retries of a call after temporary faults (backend server).")
    tracking: TrackingSettings = Field(
        TrackingSettings(mode="none"), description="Weights & Biases: the keys of the group `tracking`."
    )
    reuse: tuple[str, ...] = Field(
        (),
        description="Folders of earlier evaluations, searched recursively; replies stored there are reused for equal requests.",
    )


class EvalSettings(Settings):
    """The whole config of the stage `eval`."""

    seed: int = Field(0, description="Used only by tasks that sample their replies.")
    suite: Suite = Field(description="The tasks and how they are evaluated.")
    model: Model | None = Field(None, description="The model; null: the folder of the input `model`.")
    runtime: Runtime = Field(Runtime(), description="Speed only; not in the fingerprint.")
