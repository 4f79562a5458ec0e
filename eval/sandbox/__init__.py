"""Runs model-written code (HumanEval, MBPP) shut in: `run_all(programs)` says which ones ran to their end.

    from eval.sandbox import run_all
    verdicts = run_all([solution + tests, ...], workers=8)

A program passes if it runs to its last line within its limits; its tests are part of it. See isolation.py for what keeps it in.
"""

from eval.sandbox.isolation import Isolation
from eval.sandbox.run import Limits, SandboxError, Verdict, isolation, refusal, run_all, run_one

__all__ = ["Isolation", "Limits", "SandboxError", "Verdict", "isolation", "refusal", "run_all", "run_one"]
