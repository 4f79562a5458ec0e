"""Starts DeepSpeed ZeRO (`sft.sharding`) and gives access to sharded weights.

ZeRO shards values that plain data parallelism (DDP) replicates on every device. zero2 shards gradients and optimizer
state; zero3 also shards the weights. The configurations are conf/sft/deepspeed/*.json; batch sizes, clipping and
precision come from the recipe ("auto"). In bf16, ZeRO keeps bfloat16 weights and a float32 copy of them in the
optimizer, while DDP computes in bfloat16 on float32 weights. The results are equal up to bfloat16's rounding. Both
accumulate gradients in float32.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import Problem, TrainError
from gra.fileio import read_json
from gra.paths import conf_dir
from gra.train.distributed.hardware import Machine
from gra.train.settings import SftSettings

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def active(sft: SftSettings, processes: int) -> str | None:
    """Return the sharding that the training uses, `zero2` or `zero3`. Return None if the recipe does not set
    `sft.sharding` or if only one process trains."""
    return sft.sharding if processes > 1 else None


def problems(sft: SftSettings, machine: Machine, processes: int) -> list[Problem]:
    """Return the faults that prevent the recipe's sharding."""
    kind = active(sft, processes)
    if kind is None:
        return []
    found = []
    if "deepspeed" not in machine.packages:
        message = f"{kind} for {processes} processes, but deepspeed is not installed"
        found.append(
            Problem(
                "sft.sharding", message, "pip install 'gra[deepspeed]', or set sft.sharding=null (needs more memory)"
            )
        )
    if sft.precision == "bf16" and sft.save_dtype == "float32":
        message = f"float32, but with {kind} in bf16 the published weights are bfloat16"
        found.append(Problem("sft.save_dtype", message, "set sft.save_dtype=bfloat16, or sft.sharding=null"))
    if sft.method == "full" and kind == "zero3" and sft.optimizer.endswith("8bit"):
        message = f"{sft.optimizer} does not support the sharded weights of zero3"
        found.append(Problem("sft.optimizer", message, "set sft.optimizer=adamw_torch, or sft.sharding=zero2"))
    return found


def facts(sft: SftSettings, processes: int) -> dict[str, Any]:
    """Return the settings on which a checkpoint's format depends; each checkpoint stores them."""
    return {"processes": processes, "sharding": active(sft, processes)}


def refuse_other(there: dict[str, Any], here: dict[str, Any], checkpoint: Path) -> None:
    """Raise TrainError if this run cannot read the shards of a checkpoint.

    `there`: the number of processes and the sharding with which the checkpoint was written, as the function `facts`
    returns them. `here`: the same values of this run.

    A checkpoint without shards can be resumed by any number of processes. But if this number has changed, some
    processes find no saved random state (for dropout), or some saved states are not used.
    """
    if there.get("sharding") is None and here["sharding"] is None:
        return
    if any(there.get(key) != here[key] for key in here):
        was, now = (
            f"{f.get('processes', 1)} process(es), sft.sharding={f.get('sharding') or 'null'}" for f in (there, here)
        )
        raise TrainError(
            f"{checkpoint}: written with {was}; this run has {now} and cannot read its shards\n"
            "    -> use the settings that the run was started with, or remove the working folder to start again"
        )


def path_of(kind: str) -> Path:
    """Return the path of the DeepSpeed configuration for `zero2` or `zero3`."""
    return conf_dir() / "sft" / "deepspeed" / f"{kind}.json"


def start(kind: str, gpu: bool) -> dict[str, Any]:
    """Prepare DeepSpeed, and return its configuration for SFTConfig. On a CPU, also create the process group. Call this
    function before creating the SFTConfig."""
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if not gpu:
        # DeepSpeed would first compile its shared-memory collectives, which takes a minute and needs g++ and ninja; gloo suffices.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False, verbose=False)
    # Hide two warnings that are not faults: the trainer itself counts accumulation steps and reports them only to DeepSpeed;
    # DeepSpeed 0.19 uses deprecated names of torch.
    logging.getLogger("accelerate.accelerator").addFilter(
        lambda record: "accumulation steps mismatch" not in record.getMessage()
    )
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated", category=FutureWarning)
    config: dict[str, Any] = read_json(path_of(kind))
    return config


def rows(weight: Any) -> int:
    """Return the size of a weight's first dimension. If zero3 has replaced the weight by an empty tensor, the size
    comes from the weight's attribute `ds_shape`."""
    return int((getattr(weight, "ds_shape", None) or weight.shape)[0])


def size(parameter: Any) -> int:
    """Return the number of elements of a weight. The number is the same if zero3 sharded the weight or bitsandbytes
    packed it into 4 bits."""
    packed = getattr(parameter, "quant_state", None)
    return (
        int(packed.shape.numel())
        if packed is not None
        else int(getattr(parameter, "ds_numel", None) or parameter.numel())
    )


@contextmanager
def gathering(model: nn.Module) -> Iterator[None]:
    """While the context lasts, allow forward passes on a model that zero3 sharded at loading and that no DeepSpeed
    engine manages yet.

    The weights of a module are gathered while the module runs, so all processes must run the same passes. Models
    without shards are not changed.
    """
    divided = [m for m in model.modules() if any(hasattr(p, "ds_id") for p in m.parameters(recurse=False))]
    if not divided:
        yield
        return
    import deepspeed

    open_now: dict[int, ExitStack] = {}

    def gather(module: Any, _arguments: Any) -> None:
        stack = open_now[id(module)] = ExitStack()
        stack.enter_context(deepspeed.zero.GatheredParameters(list(module.parameters(recurse=False))))

    def divide(module: Any, _arguments: Any, _result: Any) -> None:
        open_now.pop(id(module)).close()

    handles = [h for m in divided for h in (m.register_forward_pre_hook(gather), m.register_forward_hook(divide))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def whole_model(trainer: Any) -> Any:
    """Return the trained model with complete weights. With zero3, the first process gets the model, and the others get
    None.

    All processes must call this function.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not any(hasattr(p, "ds_id") for p in model.parameters()):
        return model
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return _rebuilt(model, state) if trainer.is_world_process_zero() else None


def _rebuilt(model: Any, state: dict[str, Any]) -> Any:
    """Return a copy of `model`, adapters included, in main memory, with the weights `state`."""
    import torch
    from peft import PeftModel, get_peft_model
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # otherwise new modules would be sharded, too
    adapted = isinstance(model, PeftModel)
    base = model.get_base_model() if adapted else model
    with torch.device("meta"):  # no memory: every weight comes from `state`
        copy = type(base)(base.config)
        copy.generation_config = base.generation_config
        whole = get_peft_model(copy, model.peft_config["default"], autocast_adapter_dtype=False) if adapted else copy
    whole.load_state_dict(state, assign=True)
    if not (adapted and model.peft_config["default"].modules_to_save):  # those were trained untied
        copy.tie_weights()
    return whole
