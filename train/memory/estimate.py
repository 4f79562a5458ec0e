"""Estimates the peak memory of a training step and how many sequences fit into a forward pass.

This module only calculates: it loads no library and measures nothing (train/memory/fitting.py does both), so the same
numbers give the same answer on any machine. It counts the tensors that PyTorch's autograd keeps for the backward pass
in a decoder layer with rotary attention and a gated MLP; other layers keep less. The loss is TRL's: it projects 4096
positions at a time onto 32768 entries of the vocabulary, so the logits of a whole pass never exist at once (TRL 1.16,
trl/kernels/chunked_logprob.py). All sizes are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

GIB = 2**30
SHARE = 0.8  # share of the free memory that a step may use; the rest is for uncounted tensors and fragmentation
LIBRARIES = 128 * 2**20  # workspaces of libraries such as cuBLAS
SLACK = 1.1  # factor for activations: allocators round up and leave gaps
TILE_POSITIONS, TILE_ENTRIES = 4096, 32_768
CPU_TILES, GPU_TILES = (
    8,
    2,
)  # number of float32 tensors of a tile's size that exist at once: 8 with PyTorch's operations, 2 with a Triton kernel
STATE = {
    "adamw_torch": 8,
    "adamw_torch_fused": 8,
    "adamw_8bit": 2,
    "paged_adamw_8bit": 2,
    "adafactor": 1,
    "sgd": 0,
}  # bytes of optimizer state per trained weight


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, from which memory is estimated.

    `weights`: the number of all weights. `embeddings`: the number of weights in the embedding table. `intermediate`:
    the width of the feed-forward layer, summed over the experts that a token passes. `queries`: the number of heads
    times the width of a head.
    """

    weights: int
    embeddings: int
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    queries: int
    heads: int
    linear: int = 0  # weights that 4-bit loading packs


@dataclass(frozen=True)
class Plan:
    """The properties of a recipe and a device that decide how much memory a step needs.

    `trained`: the number of weights that have a gradient. `length`: the number of tokens per sequence. `frozen`: the
    bytes of each weight that has no gradient. `embeddings_trained`: whether the embeddings or the output layer has a
    gradient.
    """

    trained: int
    length: int
    method: str = "full"
    frozen: float = 4
    half: bool = False
    optimizer: str = "adamw_torch"
    embeddings_trained: bool = True
    checkpointing: bool = False
    packing: bool = False
    dense: bool = False  # the attention's mask or scores exist in full: as many numbers as the square of the row length
    eager: bool = False
    gpu: bool = False
    processes: int = 1
    sharding: str | None = None


@dataclass(frozen=True)
class Peak:
    """The bytes in use at the peak of a step, for each purpose."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    loss: float

    @property
    def total(self) -> float:
        """Return the sum, including the libraries' workspaces."""
        return LIBRARIES + sum(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        parts = ", ".join(f"{field.name} {getattr(self, field.name) / GIB:.2f}" for field in fields(self))
        return f"{self.total / GIB:.2f} GiB ({parts})"


def rows(shape: Shape, plan: Plan, free: float, share: int, most: int) -> int:
    """Return the largest number of sequences per forward pass for which a step fits into memory. A step fits if it
    needs at most SHARE (0.8) of `free` bytes. If even one sequence needs more, return 1.

    The number is a power of two and at most `most`. It divides `share`, which is the number of sequences of the global
    batch that one process gets.
    """
    fitting = 1
    while share % (fitting * 2) == 0 and fitting * 2 <= most and peak(shape, plan, fitting * 2).total <= SHARE * free:
        fitting *= 2
    return fitting


def peak(shape: Shape, plan: Plan, rows: int) -> Peak:
    """Return the peak memory of a step whose forward passes have `rows` sequences of `plan.length` tokens."""
    return Peak(
        weights=_weights(shape, plan),
        gradients=_gradients(shape, plan),
        optimizer=_optimizer(plan),
        activations=_activations(shape, plan, rows) * SLACK,
        loss=_loss(shape, plan, rows),
    )


def _divided(plan: Plan, *kinds: str) -> int:
    return plan.processes if plan.sharding in kinds else 1


def _weights(shape: Shape, plan: Plan) -> float:
    if plan.method == "full":
        if plan.sharding == "zero3":  # two layers are gathered at a time
            return 2 * shape.weights / plan.processes + 4 * shape.weights / shape.layers
        if plan.sharding == "zero2":
            return 2 * shape.weights
        return (4 + 2 * plan.half) * shape.weights  # autocast keeps a bfloat16 copy of each during a pass
    packed = shape.linear if plan.method == "qlora" else 0
    held = plan.frozen * (shape.weights - packed) + 0.55 * packed
    cast = 2 * plan.half * (plan.trained if plan.frozen < 4 else shape.weights)
    return held / _divided(plan, "zero3") + 4 * plan.trained + cast


def _gradients(shape: Shape, plan: Plan) -> float:
    """Return the bytes of the accumulated gradients, and of the newest gradient of the embeddings, the largest weight.

    This newest gradient counts twice, because the input layer and the output layer each compute one.
    """
    new = 2 * 4 * shape.embeddings if plan.embeddings_trained else 0
    whole = 2 * plan.trained if plan.sharding else 0  # bfloat16, before sharding
    bucket = 4 * plan.trained if plan.processes > 1 and not plan.sharding else 0  # DDP sums copies of them
    return 4 * plan.trained / _divided(plan, "zero2", "zero3") + whole + bucket + new


def _optimizer(plan: Plan) -> float:
    master = 4 if plan.sharding and plan.half else 0
    return (STATE.get(plan.optimizer, 8) + master) * plan.trained / _divided(plan, "zero2", "zero3")


def _activations(shape: Shape, plan: Plan, rows: int) -> float:
    tokens = rows * plan.length
    layer = tokens * _kept(shape, plan)
    square = plan.length * (tokens if not plan.packing else rows * tokens)  # a packed pass is one row
    if plan.eager:
        layer += 3 * shape.heads * square * (2 if plan.half else 4)
    mask = 5 * square if plan.dense or plan.eager else 0
    stream = tokens * shape.hidden * (4 if plan.frozen == 4 else 2)
    between = 6 * tokens * shape.hidden * 4  # embeddings, the last norm, and the gradient passed between layers
    kept = shape.layers * stream + layer if plan.checkpointing else shape.layers * layer
    return kept + layer + between + mask  # one more layer: the gradients of the current layer


def _kept(shape: Shape, plan: Plan) -> float:
    """Return the bytes per token that a layer keeps for the backward pass.

    It keeps two norms (float32), projections, rotated queries and keys, values, the output of the attention, the MLP's
    two inner outputs, their product and the output of the activation function.
    """
    hidden, queries, inner = shape.hidden, shape.queries, shape.intermediate
    if not plan.half:
        return 4 * (6 * hidden + 6 * queries + 4 * inner)
    adapters = 0 if plan.method == "full" else 2 * (5 * hidden + queries + inner)  # each adapter's copy of its input
    return 4 * 4 * hidden + 2 * (4 * hidden + 6 * queries + 4 * inner) + adapters


def _loss(shape: Shape, plan: Plan, rows: int) -> float:
    tokens = rows * plan.length
    tile = 4 * min(tokens, TILE_POSITIONS) * TILE_ENTRIES * (GPU_TILES if plan.gpu else CPU_TILES)
    return tile + 3 * 4 * tokens * shape.hidden
