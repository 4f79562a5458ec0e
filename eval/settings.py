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
    tasks: tuple[TaskName, ...] = Field((), description="Tasks or groups of lm-eval, or of eval/tasks.")
    only: tuple[TaskName, ...] | None = Field(
        None,
        min_length=1,
        description="Evaluate only these of `tasks`, in the suite's order; a group's name stands for its members; null: all.",
    )
    groups: Annotated[Groups, BeforeValidator(lambda given: given or {}, json_schema_input_type=Groups | None)] = Field(
        default_factory=dict,
        description="Group: its tasks, for the means in the scores; members that are not in `tasks` are ignored; null: none.",
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="Items per task, drawn in proportion from each subject (eval/suite/subset.py), the same for every model; "
        "null: all. Scores with different limits are not comparable.",
    )
    limit_seed: int = Field(0, description="Seed of the drawn items, the same for all models and replicates.")
    data_dir: str | None = Field(
        None, description="Folder of benchmark files (`gra fetch suite=paper output=DIR`); null: items from the hub."
    )
    skip_missing: bool = Field(
        False, description="true: leave out a task without data, without a score; false: that is an error."
    )
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Longest reply, in tokens; null: each task's limit, and for a task without one "
        f"{CHAT_TOKENS} with a chat template, {PLAIN_TOKENS} without (lm-eval's).",
    )
    num_fewshot: int | None = Field(
        None, ge=0, description="Number of worked examples; null: each task's own. A task with 0 keeps 0."
    )
    fewshot_as_multiturn: bool = Field(
        True, description="true: worked examples are turns of the conversation; false: all in one message."
    )
    fewshot_seed: int = Field(1234, description="Seed of the worked examples. 1234: lm-eval's default.")
    apply_chat_template: bool = Field(
        True, description="Use the model's chat template; false: plain text, as for base models."
    )
    bos: Literal["model", "never", "always"] = Field(
        "model",
        description="Beginning-of-text token of each rendered prompt. model: where the chat template writes it; never; always. No "
        "effect for tokenizers without such a token (Qwen2.5).",
    )
    system_instruction: str | None = Field(None, description="System message of every prompt; null: none.")
    sandbox: Literal["auto", "none"] = Field(
        "auto",
        description="How model-written code runs. auto: in a sandbox, or the run is refused; none: with your rights, limited only "
        "in time and memory.",
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
            raise ValueError(f"groups: tasks in more than one group, or twice in one: {', '.join(twice)}")
        return self


def chosen(suite: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suite's plain config reduced to the tasks in `only`. Raises ValueError for a name that is not in the suite.

    A config of the wrong shape is returned unchanged, because the checks of the fields report it.
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
    """The model and what runs it; in an experiment an earlier step provides the model."""

    path: str = Field(
        "",
        description="Model folder or hub id. backend=server: of the tokenizer that renders the prompts; with send=messages only a "
        "name.",
    )
    revision: str = Field("main", description="Commit, tag or branch of a hub id.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="dtype of the weights; auto: as saved."
    )
    trust_remote_code: bool = Field(False, description="true: run the code of the model's repository.")
    backend: Literal["hf", "vllm", "server"] = Field(
        "hf",
        description="hf: transformers; vllm: in this process, where it is installed; server: an OpenAI-compatible one.",
    )
    max_length: int | None = Field(
        None, ge=16, description="Tokens of prompt and reply together; null: from the model's config."
    )
    base_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="URL of the server, up to /v1; null unless backend=server."
    )
    name: str | None = Field(None, min_length=1, description="The server's name for the model; null: `path`.")
    send: Literal["tokens", "text", "messages"] = Field(
        "tokens",
        description="What is sent to a server. tokens, text: the prompt is rendered here; messages: the server renders it.",
    )
    version: str | None = Field(
        None,
        min_length=1,
        description="Any text, or null. Change it when the server has other weights under the same name, or stored replies of the "
        "old ones are reused.",
    )
    refused: Literal["error", "empty"] = Field(
        "error",
        description="Prompts that a server keeps refusing. error: the run fails after all other calls; empty: they are scored as "
        "empty replies and counted.",
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY", description="NAME of the variable that holds the server's key; if unset, no key is sent."
    )

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if (self.backend == "server") != (self.base_url is not None):
            raise ValueError("backend=server and base_url=http://HOST:PORT/v1 go together: set both or neither")
        if self.backend != "server" and (self.version is not None or self.refused != "error"):
            raise ValueError("version and refused need backend=server: remove them")
        return self


class Runtime(Settings):
    """Changes speed only (apart from the last bits of floating point: batches of another shape can round differently)."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="hf: prompts per batch; auto: what fits a GPU, 64 on a CPU."
    )
    device: str = Field("auto", description="hf: auto, cpu, cuda, cuda:1, mps.")
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="hf: copies of the model that share the work; auto: one per GPU."
    )
    threads: int | None = Field(None, ge=1, description="torch threads on a CPU; null: torch's default.")
    tensor_parallel_size: int = Field(1, ge=1, description="vllm: GPUs that share one copy of the model.")
    data_parallel_size: int = Field(1, ge=1, description="vllm: copies of the model; more than one needs ray.")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="vllm: fraction of each GPU's memory.")
    concurrency: int = Field(64, ge=1, description="server: calls in flight.")
    timeout_s: float = Field(600, gt=0, description="server: seconds for one reply.")
    retries: int = Field(8, ge=0, description="server: retries of a call after temporary faults.")
    tracking: TrackingSettings = Field(TrackingSettings(mode="none"), description="Weights & Biases; see `tracking`.")
    reuse: tuple[str, ...] = Field(
        (), description="Folders, searched at any depth, whose stored replies answer equal requests."
    )


class EvalSettings(Settings):
    """The whole config of the stage."""

    seed: int = Field(0, description="Used only by tasks that sample their replies.")
    suite: Suite = Field(description="The tasks and how they are evaluated.")
    model: Model | None = Field(None, description="The model; null: the input `model` gives it.")
    runtime: Runtime = Field(Runtime(), description="Speed only: not in the fingerprint.")
