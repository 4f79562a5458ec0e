"""Runs model-written code (HumanEval, MBPP) in a sandbox: `run_all(programs)` reports which programs ran to their end.

    from gra.eval.sandbox import run_all
    verdicts = run_all([solution + tests, ...], workers=8)

A program passes if it runs to its last line within its limits; its tests are part of it. See isolation.py for the isolation.
"""

from gra.eval.sandbox.isolation import Isolation
from gra.eval.sandbox.limits import Limits
from gra.eval.sandbox.run import SandboxError, Verdict, isolation, refusal, run_all, run_one

__all__ = ["Isolation", "Limits", "SandboxError", "Verdict", "isolation", "refusal", "run_all", "run_one"]
