"""Makes the calls of one sample: renders the prompts, reads the replies, makes a call again if its reply is unusable,
and records what each call cost.

This module does no I/O. Its functions are generators: each yields the calls that must be made next, and the caller
sends it the replies (see protocol.py).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from gra.errors import ConfigError, Problem
from gra.models.base import Reply, Request
from gra.synthesis import prompts
from gra.synthesis.committee.decisions import InstructionFilter
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
    """What is the same for all proposals (attempts at a new sample) of a run.

    - `seed`: the run's random seed.
    - `served`: name of a model -> a hash of all settings of the model that can change its replies
      (`gra.models.identity.served_as`).
    - `thoughts`: whether reasoning is removed from replies (`pool.strip_think`).
    - `scales`: name of a reviewer -> the map that calibrates its scores (`synthesis.calibrate`).
    - `tasks`: the classifier that rejects instructions that are probably no tasks (`synthesis.task_labels`). It is
      None if no classifier is used.
    """

    seed: int
    settings: SynthesisSettings
    served: Mapping[str, str] = field(default_factory=dict)
    thoughts: bool = True
    scales: Scales = field(default_factory=dict)
    tasks: InstructionFilter | None = None

    @cached_property
    def styles(self) -> dict[str, prompts.Style]:
        """Step -> style of the step's prompt. The style decides how replies to the prompt are read."""
        return {step: prompts.style(step, self.settings.prompts) for step in (*prompts.STEPS, prompts.REWRITE)}


@dataclass(frozen=True)
class Call:
    """A model call whose reply the run needs. `request`: what is sent to the model. The other fields say for which
    sample, step (e.g. `review`), role and attempt the call is made."""

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
    """Makes the calls of one sample. `calls` holds a record of each call that was answered."""

    sample: str
    rules: Rules
    calls: list[CallRecord] = field(default_factory=list)

    def ask_all(
        self, step: str, turns: Sequence[tuple[str, str]], **values: Any
    ) -> Exchange[list[tuple[Any, str | None]]]:
        """Make one call for `step` to each model in `turns`, a list of (role, model). All these calls are made at the
        same time.

        If a reply is unusable, the call is made again, at most `parse_retries` times. If the server refused the
        request, the call is not made again. `values`: the values that are inserted into the prompt.

        Return a pair (value, fault) for each (role, model). If a reply was usable, the value is the parsed reply, or
        the text of the reply if it has no structure to parse, and the fault is None. If no reply was usable, the value
        is None and the fault is that of the last reply.
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
        """Call one model for `step`. If its reply is unusable, call it again, at most `parse_retries` times. Return
        a pair (value, fault). If a reply was usable, the value is the parsed reply, or its text if it has no
        structure to parse, and the fault is None. If no reply was usable, the value is None and the fault is that of
        the last reply."""
        results = yield from self.ask_all(step, [(role, model)], **values)
        return results[0]

    def ask_yes_no(self, step: str, questions: Sequence[probability.Question]) -> Exchange[list[yes_no.Scored]]:
        """Ask several questions at the same time. A model answers a question with one token, Yes or No. If a question
        gives a text in `forced`, the model writes nothing. Instead, the server returns the likelihood that the model
        assigns to this text.

        Return (score, None) for each question, or (None, the fault). No question is asked again, because decoding is
        greedy and the model would answer with the same token.
        """
        calls = []
        for asked in questions:
            seed = number(self.rules.seed, self.sample, step, asked.role, 0, bits=31)
            served = self.rules.served.get(asked.model, "")
            request = probability.request(asked.model, asked.messages, seed, served, asked.forced)
            calls.append(Call(self.sample, step, asked.role, 0, request))
        replies = yield calls
        results = [probability.read_score(reply, asked.forced) for reply, asked in zip(replies, questions, strict=True)]
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
    """Return the messages of a prompt. `edition`: the name of an edition of the prompts, or a folder with the user's
    own templates. Raises ConfigError if a template in this folder cannot be rendered with these `values`. GRA has tried
    the templates before the run, but with other values."""
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
