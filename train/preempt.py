"""SIGTERM, SIGUSR1 and Ctrl-C in training: the step is finished, a whole checkpoint is written, the process leaves.

Exit code 85 after SIGTERM or SIGUSR1, as batch systems announce the end of a job (`gra.errors.Preempted`), 130 after Ctrl-C;
the same command goes on from the checkpoint, and ends with the weights and the log of an unbroken run. In a run of several
processes one signal to any of them stops all after the same step. Before the first step the process leaves at once; after the
last one the model is written in any case, which takes less time than a checkpoint. A second signal stops at once, without a
checkpoint, but for the two of which batch systems and launchers are the authors: SIGTERM after SIGUSR1, and the same signal
again within GRACE seconds (Slurm sends it to every process, torchrun passes its own on).
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gra.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, GraError, Interrupted, Preempted
from gra.signals import say

if TYPE_CHECKING:
    from transformers import TrainerCallback

log = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
GRACE = 2.0  # seconds in which the same signal again counts as the same request
R = TypeVar("R")


class _Leave(BaseException):
    """Raised by the signal handler before the first step; no `except Exception` of a library may swallow it."""


class Stop:
    """What signals have asked of this process, and how far the run is."""

    def __init__(self) -> None:
        self.asked = 0  # the exit code asked for; 0: none
        self.agreed = 0  # ... by any process of the run, as all know it since the last step
        self.phase: Literal["start", "steps", "end"] = "start"
        self._owner, self._first, self._when = os.getpid(), 0, 0.0

    def handle(self, number: int, _frame: object) -> None:
        """The signal handler."""
        if os.getpid() != self._owner:  # a forked child (a data worker), which has inherited this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.asked:
            if self._impatient(number):
                say("stopping at once, without a checkpoint; the same command goes on from the last one")
                os._exit(self.asked)
        else:
            self.asked = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_PREEMPTED
            self._first, self._when = number, time.monotonic()
            name = signal.Signals(number).name
            if self.phase == "start":
                raise _Leave
            if self.phase == "steps":
                say(f"{name}: finishing this step, then a checkpoint; the same signal again stops at once")
            else:
                say(f"{name}: the model is trained and is being written; the same signal again stops at once")

    def _impatient(self, number: int) -> bool:
        if (self._first, number) == (signal.SIGUSR1, signal.SIGTERM):
            return False
        alone = number == signal.SIGINT and "RANK" not in os.environ  # no torchrun that passes a Ctrl-C on
        return alone or number != self._first or time.monotonic() - self._when > GRACE

    def agree(self, device: Any) -> int:
        """The exit code that any process of the run was asked for, 0 if none. All processes call it after the same step."""
        import torch
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            word = torch.tensor([self.asked], dtype=torch.int32, device=device)
            dist.all_reduce(word, op=dist.ReduceOp.MAX)
            self.agreed = int(word.item())
        else:
            self.agreed = self.asked
        return self.agreed

    def error(self, code: int, where: str) -> GraError:
        """The error that ends the run with exit code `code`."""
        kind = Interrupted if code == EXIT_INTERRUPTED else Preempted
        return kind(f"stopped by a signal {where}; the same command goes on from there (exit code {code})")


_stop: Stop | None = None  # of the run in progress: signals are the process's own, so there can be but one


def stoppable(train: Callable[..., R]) -> Callable[..., R]:
    """Let signals stop `train(settings, inputs, output)`. Outside the main thread, which alone gets signals, nothing changes."""

    @functools.wraps(train)
    def listening(settings: Any, inputs: dict[str, Path], output: Path) -> R:
        global _stop
        if threading.current_thread() is not threading.main_thread():
            return train(settings, inputs, output)
        outer, _stop = _stop, Stop()
        before = {number: signal.signal(number, _stop.handle) for number in SIGNALS}
        try:
            return train(settings, inputs, output)
        except _Leave:
            raise _stop.error(_stop.asked, "before its first step") from None
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: one that is not Python's
            _stop = outer

    return listening


@contextmanager
def steps(trainer: Any) -> Iterator[None]:
    """Around `trainer.train(...)`: signals let it finish its step, write a checkpoint and end; then Preempted or Interrupted is
    raised. A loop that a signal broke (it has killed a worker, or another rank) ends in the same way, at its last checkpoint."""
    stop = _stop
    if stop is None:
        yield
        return
    trainer.add_callback(_callback(stop))
    stop.phase = "steps"
    if stop.asked > 0:  # a library swallowed the handler's exception
        raise _Leave
    try:
        yield
    except RuntimeError as error:
        if not stop.asked:
            raise
        log.warning("the step could not be finished after the signal: %s", error)
        raise stop.error(stop.asked, "in a step, after the last checkpoint") from error
    stop.phase = "end"
    if stop.agreed:
        trainer.accelerator.wait_for_everyone()  # torchrun ends all once one has left: the checkpoint must have its mark by then
        step = trainer.state.global_step
        raise stop.error(stop.agreed, f"after step {step} of {trainer.state.max_steps}, with a checkpoint")


def _callback(stop: Stop) -> TrainerCallback:
    """Ends the loop with a checkpoint once a signal came. (A function: importing transformers takes seconds.)"""
    from transformers import TrainerCallback

    class StopOnSignal(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if state.global_step >= state.max_steps:
                stop.phase = "end"  # there is nothing left to go on with
            elif stop.agree(args.device):
                control.should_save = control.should_training_stop = True

        on_evaluate = on_step_end  # the signal may have come during a long validation

    return StopOnSignal()
