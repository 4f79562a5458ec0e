"""Handles SIGTERM, SIGUSR1 and Ctrl-C in training: finishes the step, writes a complete checkpoint and exits.

The exit code is 130 after Ctrl-C and 85 after SIGTERM or SIGUSR1, which batch systems send before they end a job
(`gra.errors.Preempted`). The same command resumes from the checkpoint and ends with the weights and the log of an
uninterrupted run. With several processes, one signal to any of them stops all after the same step. Before the first
step the process exits at once. After the last step the model is always written, which is faster than a checkpoint.

A second signal stops at once without a checkpoint. There are two exceptions, which batch systems and launchers cause:
SIGTERM after SIGUSR1, and the same signal again within GRACE seconds (Slurm sends a signal to every process, and
torchrun forwards the signal that it gets).
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
GRACE = 2.0  # seconds within which a repeated signal counts as the same request
R = TypeVar("R")


class _Leave(BaseException):
    """Raised by the signal handler before the first step.

    It is a BaseException, so that no library's `except Exception` catches it.
    """


class Stop:
    """Handles the signals to a run. It records the phase of the run and, once a signal has arrived, the exit code with
    which the run will end."""

    def __init__(self) -> None:
        self.requested = 0  # the exit code requested by a signal; 0: none
        self.agreed = 0  # the exit code requested of any process; all processes agreed on it after the last step
        self.phase: Literal["start", "steps", "end"] = "start"
        self._owner, self._first, self._when = os.getpid(), 0, 0.0

    def handle(self, number: int, _frame: object) -> None:
        """Handle a signal: request an exit, or exit at once if one was already requested."""
        if os.getpid() != self._owner:  # a forked child (a data worker) inherited this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.requested:
            if self._impatient(number):
                say("stopping at once, without a checkpoint; the same command resumes from the last one")
                os._exit(self.requested)
        else:
            self.requested = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_PREEMPTED
            self._first, self._when = number, time.monotonic()
            name = signal.Signals(number).name
            if self.phase == "start":
                raise _Leave
            if self.phase == "steps":
                say(f"{name}: finishing this step and writing a checkpoint; the same signal again stops at once")
            else:
                say(f"{name}: training is finished, the model is being written; the same signal again stops at once")

    def _impatient(self, number: int) -> bool:
        if (self._first, number) == (signal.SIGUSR1, signal.SIGTERM):
            return False
        alone = number == signal.SIGINT and "RANK" not in os.environ  # there is no torchrun that forwards Ctrl-C
        return alone or number != self._first or time.monotonic() - self._when > GRACE

    def agree(self, device: Any) -> int:
        """Return the exit code with which the run must end because one of its processes has received a signal. Return 0
        if none has. All processes call this method after the same step, and all get the same answer."""
        import torch
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            word = torch.tensor([self.requested], dtype=torch.int32, device=device)
            dist.all_reduce(word, op=dist.ReduceOp.MAX)
            self.agreed = int(word.item())
        else:
            self.agreed = self.requested
        return self.agreed

    def error(self, code: int, where: str) -> GraError:
        """Return the error that ends the run with exit code `code`. `where`: when the run stopped, for the message."""
        kind = Interrupted if code == EXIT_INTERRUPTED else Preempted
        return kind(f"stopped by a signal {where}; the same command resumes from there (exit code {code})")


_stop: Stop | None = None  # the Stop of the run in progress; there is only one, because signals belong to the process


def stoppable(train: Callable[..., R]) -> Callable[..., R]:
    """Return the function `train(settings, inputs, output)` in a form that signals can stop.

    Only the main thread gets signals. In other threads nothing changes.
    """

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
            raise _stop.error(_stop.requested, "before its first step") from None
        finally:
            for number, handler in before.items():
                # None: a handler not set by Python
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            _stop = outer

    return listening


@contextmanager
def steps(trainer: Any) -> Iterator[None]:
    """While the context lasts, let a signal stop the call of `trainer.train(...)`.

    After a signal, the trainer finishes its step, writes a checkpoint and ends. Then Preempted or Interrupted is
    raised. The signal may instead break the step, because it kills a worker or another training process. Then the same
    error is raised, and the run can resume from its last checkpoint.
    """
    stop = _stop
    if stop is None:
        yield
        return
    trainer.add_callback(_callback(stop))
    stop.phase = "steps"
    if stop.requested > 0:  # a library caught the handler's exception
        raise _Leave
    try:
        yield
    except RuntimeError as error:
        if not stop.requested:
            raise
        log.warning("the step could not be finished after the signal: %s", error)
        raise stop.error(stop.requested, "in a step, after the last checkpoint") from error
    stop.phase = "end"
    if stop.agreed:
        trainer.accelerator.wait_for_everyone()  # torchrun ends all once one exits; the checkpoint needs its mark before that
        step = trainer.state.global_step
        raise stop.error(stop.agreed, f"after step {step} of {trainer.state.max_steps}, with a checkpoint")


def _callback(stop: Stop) -> TrainerCallback:
    """Return the callback that ends the loop with a checkpoint after a signal.

    Its class is made here, because importing transformers takes seconds.
    """
    from transformers import TrainerCallback

    class StopOnSignal(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if state.global_step >= state.max_steps:
                stop.phase = "end"  # nothing is left to resume
            elif stop.agree(args.device):
                control.should_save = control.should_training_stop = True

        on_evaluate = on_step_end  # a signal can come during a long validation

    return StopOnSignal()
