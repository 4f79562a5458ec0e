"""DeepSpeed ZeRO (`sft.sharding`): its configuration, its start, and what it asks of code that looks at weights.

ZeRO divides what plain data parallelism (DDP) keeps whole on every device: zero2 gradients and optimizer state, zero3 the
weights too. The configurations are conf/sft/deepspeed/*.json; batch sizes, clipping and precision in them are the recipe's
("auto"). In bf16 the weights are bfloat16 with a float32 copy in the optimizer, where DDP computes in bfloat16 on float32
weights: the same up to bfloat16's rounding. Gradients are summed over accumulation steps in float32 either way.
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
from train.hardware import Machine
from train.settings import SftSettings

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


def active(sft: SftSettings, processes: int) -> str | None:
    """`zero2` or `zero3` where several processes train and the recipe asks for it."""
    return sft.sharding if processes > 1 else None


def problems(sft: SftSettings, machine: Machine, processes: int) -> list[Problem]:
    """What speaks against the sharding that a recipe asks for."""
    kind = active(sft, processes)
    if kind is None:
        return []
    found = []
    if "deepspeed" not in machine.packages:
        message = f"{kind} for {processes} processes, but deepspeed is not installed"
        found.append(Problem("sft.sharding", message, "pip install 'gra[deepspeed]', or set sft.sharding=null (needs more memory)"))
    if sft.precision == "bf16" and sft.save_dtype == "float32":
        message = f"float32, but under {kind} in bf16 the weights that can be published are bfloat16"
        found.append(Problem("sft.save_dtype", message, "set sft.save_dtype=bfloat16, or sft.sharding=null"))
    if sft.method == "full" and kind == "zero3" and sft.optimizer.endswith("8bit"):
        message = f"{sft.optimizer} does not know which shard of a weight it holds under zero3"
        found.append(Problem("sft.optimizer", message, "set sft.optimizer=adamw_torch, or sft.sharding=zero2"))
    return found


def facts(sft: SftSettings, processes: int) -> dict[str, Any]:
    """What a checkpoint's form depends on, for its mark."""
    return {"processes": processes, "sharding": active(sft, processes)}


def refuse_other(there: dict[str, Any], here: dict[str, Any], checkpoint: Path) -> None:
    """Raise TrainError where a checkpoint's shards are not those of this start. Without shards any number of processes may go on
    (random states, for dropout, are then those of fewer, or new)."""
    if there.get("sharding") is None and here["sharding"] is None:
        return
    if any(there.get(key) != here[key] for key in here):
        was, now = (f"{f.get('processes', 1)} process(es), sft.sharding={f.get('sharding') or 'null'}" for f in (there, here))
        raise TrainError(
            f"{checkpoint}: written by {was}; these are {now}, which cannot read each other's shards\n"
            "    -> start it as it was begun, or remove the working folder to begin anew"
        )


def path_of(kind: str) -> Path:
    """The DeepSpeed configuration for `zero2` or `zero3`."""
    return conf_dir() / "sft" / "deepspeed" / f"{kind}.json"


def start(kind: str, gpu: bool) -> dict[str, Any]:
    """Make the process group and return DeepSpeed's configuration, for SFTConfig; to be called before that is made."""
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if not gpu:
        # Its shared-memory collectives would be compiled first, for a minute, and want g++ and ninja: gloo's will do.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False, verbose=False)
    # The trainer counts accumulation steps itself and tells DeepSpeed alone of them; DeepSpeed 0.19 calls torch by older names.
    logging.getLogger("accelerate.accelerator").addFilter(lambda record: "accumulation steps mismatch" not in record.getMessage())
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated", category=FutureWarning)
    config: dict[str, Any] = read_json(path_of(kind))
    return config


def rows(weight: Any) -> int:
    """First dimension of a weight; zero3 leaves an empty tensor in a weight's place, with its shape beside it."""
    return int((getattr(weight, "ds_shape", None) or weight.shape)[0])


def size(parameter: Any) -> int:
    """Number of elements of a weight, whether or not zero3 divided it or bitsandbytes packed it into 4 bits."""
    packed = getattr(parameter, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else int(getattr(parameter, "ds_numel", None) or parameter.numel())


@contextmanager
def gathering(model: nn.Module) -> Iterator[None]:
    """While it is open, a forward pass works on a model whose weights zero3 divided at loading and no engine gathers yet: each
    module's own weights are whole while it runs. Every process must do the same. Nothing changes for other models."""
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
    """The trained model with all its weights, on the first process; under zero3 None on the others. All must call it."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not any(hasattr(p, "ds_id") for p in model.parameters()):
        return model
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return _rebuilt(model, state) if trainer.is_world_process_zero() else None


def _rebuilt(model: Any, state: dict[str, Any]) -> Any:
    """A model like `model`, adapters included, in main memory, with the weights `state`."""
    import torch
    from peft import PeftModel, get_peft_model
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # else new modules would be divided as well
    adapted = isinstance(model, PeftModel)
    base = model.get_base_model() if adapted else model
    with torch.device("meta"):  # no memory: every weight comes from `state`
        copy = type(base)(base.config)
        copy.generation_config = base.generation_config
        whole = get_peft_model(copy, model.peft_config["default"], autocast_adapter_dtype=False) if adapted else copy
    whole.load_state_dict(state, assign=True)
    if not (adapted and model.peft_config["default"].modules_to_save):  # those were trained apart from what they were tied to
        copy.tie_weights()
    return whole
