"""Makes the calls of one sample: renders prompts, reads replies, retries unusable ones and records what each call cost.

It does no I/O. Its functions are generators: each yields the calls that are due next and receives the replies (see
protocol.py).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from gra.errors import ConfigError, Problem
from gra.models.base import Reply, Request
from gra.synthesis import prompts
from gra.synthesis.committee.randomness import number
from gra.synthesis.committee.records import CallRecord, Outcome
from gra.synthesis.prompts.schemas import json_schema
from gra.synthesis.replies.parsing import CUT_OFF
from gra.synthesis.replies.reading import Reading, read
from gra.synthesis.scoring import probability, yes_no
from gra.synthesis.scoring.scales import Scales
from gra.synthesis.settings import SynthesisSettings, decoding_of


@dataclass(frozen=True)
class Rules:
    """The values that are the same for all proposals of a run. `seed`: the run's seed. `served`: model name -> the text
    that identifies the served model in addition to its name (`gra.models.identity.served_as`). `thoughts`: whether
    reasoning is removed from replies (`pool.strip_think`). `scales`: each reviewer's calibration map
    (synthesis.calibrate)."""

    seed: int
    settings: SynthesisSettings
    served: Mapping[str, str] = field(default_factory=dict)
    thoughts: bool = True
    scales: Scales = field(default_factory=dict)

    @cached_property
    def styles(self) -> dict[str, prompts.Style]:
        """The style of each step's prompt, which decides how its replies are read."""
        return {step: prompts.style(step, self.settings.prompts) for step in (*prompts.STEPS, prompts.REWRITE)}


@dataclass(frozen=True)
class Call:
    """A call that is due: its `request`, and the sample, step, role and attempt that it belongs to."""

    sample: str
    step: str
    role: str
    attempt: int
    request: Request


Protocol: TypeAlias = Generator[list[Call], list[Reply], Outcome]
T = TypeVar("T")
Exchange: TypeAlias = Generator[list[Call], list[Reply], T]


@dataclass
class Caller:
    """Makes the calls of one sample and keeps a record of each answered call in `calls`."""

    sample: str
    rules: Rules
    calls: list[CallRecord] = field(default_factory=list)

    def ask_all(
        self, step: str, turns: Sequence[tuple[str, str]], **values: Any
    ) -> Exchange[list[tuple[Any, str | None]]]:
        """Call every (role, model) of `turns` for `step` at once. An unusable reply is requested again, at most
        `parse_retries` times; a request that the server refused is not sent again.

        Return, for each turn, (the parsed form or the text of the reply, None), or (None, the last fault) if no reply
        was usable.
        """
        settings = self.rules.settings
        if not prompts.has_examples(step, settings.prompts):
            values.pop("demonstrations", None)  # the prompt does not show them, so no reply can copy them
        messages = _rendered(step, settings.prompts, values)
        style = self.rules.styles[step]
        schema = json_schema(step, style, bool(values.get("solve")))
        results: list[tuple[Any, str | None]] = [(None, "not asked")] * len(turns)
        due, cuts = list(range(len(turns))), [0] * len(turns)
        for attempt in range(settings.parse_retries + 1):
            calls = [self._call(step, *turns[i], (attempt, cuts[i]), messages, schema) for i in due]
            replies = yield calls
            again = []
            for i, call, reply in zip(due, calls, replies, strict=True):
                found = read(step, reply, thoughts=self.rules.thoughts, prompt=messages, values=values, style=style)
                results[i] = (found.value, found.fault)
                self.calls.append(_record(call, reply, found))
                cuts[i] += found.fault == CUT_OFF
                if found.fault is not None and reply.error is None:  # a server that refuses a request refuses it again
                    again.append(i)
            due = again
            if not due:
                break
        return results

    def ask_one(self, step: str, role: str, model: str, **values: Any) -> Exchange[tuple[Any, str | None]]:
        """Call one model for `step`. Return (the parsed form or the text of the reply, None), or (None, the last fault)
        if no reply was usable."""
        results = yield from self.ask_all(step, [(role, model)], **values)
        return results[0]

    def ask_yes_no(self, step: str, questions: Sequence[yes_no.Question]) -> Exchange[list[yes_no.Scored]]:
        """Ask all `questions`, each a (role, model, messages), at once; every reply is one token, Yes or No. Return, for each
        question, (score, None) or (None, the fault). Nothing is retried: decoding is greedy, so a retry would give the same
        token."""
        calls = []
        for role, model, messages in questions:
            seed = number(self.rules.seed, self.sample, step, role, 0, bits=31)
            request = probability.request(model, messages, seed, self.rules.served.get(model, ""))
            calls.append(Call(self.sample, step, role, 0, request))
        replies = yield calls
        results = [probability.read_score(reply) for reply in replies]
        for call, reply, (_, fault) in zip(calls, replies, results, strict=True):
            self.calls.append(_record(call, reply, Reading(None, fault)))
        return results

    def _call(
        self,
        step: str,
        role: str,
        model: str,
        tries: tuple[int, int],
        messages: tuple[dict[str, str], ...],
        schema: dict[str, Any] | None,
    ) -> Call:
        """Return the call. `tries`: the number of this attempt, and how many earlier attempts were cut off."""
        attempt, cuts = tries
        request = Request(
            model=model,
            messages=messages,
            schema_name=step,
            schema=schema,
            served=self.rules.served.get(model, ""),
            seed=number(self.rules.seed, self.sample, step, role, attempt, bits=31),
            **decoding_of(self.rules.settings, step, attempt, cuts),
        )
        return Call(self.sample, step, role, attempt, request)


def _rendered(step: str, edition: str, values: Mapping[str, Any]) -> tuple[dict[str, str], ...]:
    """Return the messages of a prompt. Raises ConfigError if a template of the user's own (`edition` is a folder)
    cannot be rendered with these values. The check of the folder before the run used other values, and may have missed
    this."""
    try:
        return prompts.render(step, edition, **values)
    except Exception as error:
        if edition in prompts.EDITIONS:
            raise
        told = f"{prompts.source_path(step, edition)}: {error}"
        raise ConfigError([Problem("synthesis.prompts", told, "fix the template for this case")]) from None


def _record(call: Call, reply: Reply, found: Reading) -> CallRecord:
    request, tokens = call.request, (reply.tokens_in, reply.tokens_out)
    usable = found.fault is None
    return CallRecord(
        request.key, call.step, call.role, request.model, call.attempt, *tokens, usable, found.fault, found.notes
    )
