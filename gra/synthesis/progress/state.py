"""Tracks the progress of a synthesis: counts what the committee and the engine report, and estimates rates and times.

The time left is estimated from this run's own figures:

    calls of a stage = calls per finished item x items wanted           an item: a seed, an accepted proposal, a sample
    left             = (calls of the stage - calls made in it) / calls per second over the last 30 s

In a round, the finished items are the accepted proposals, so the calls of all proposals are divided by the number of
accepted ones. Once the number of duplicates is known, it is added to the items wanted, because duplicates must be
replaced. Each later round, with its annotation, is assumed to take as many calls as this one. Nothing is estimated
before the first accepted sample, nor while all replies come from the journal, because no calls are sent then. The time
of embedding and deduplication is left out.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gra.reasons import REASONS
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import Outcome
from gra.synthesis.engine.engine import Traffic

WINDOW_S = 30.0
HEALTH_S = 2.0  # seconds between updates of the committee's health, each of which takes about a millisecond
# reason -> the stage at which a proposal is lost while a round runs; an unknown reason counts as "other"
GROUPS = {name: reason.stage for name, reason in REASONS.items() if not reason.accepted} | {
    "contaminated": "contaminated"
}
_ROUND = re.compile(r"round (\d+)")


@dataclass(frozen=True)
class Rates:
    """Calls and tokens per second, averaged over the last seconds (`Window`)."""

    calls_s: float
    tokens_in_s: float
    tokens_out_s: float


class Window:
    """Computes rates over the last `seconds` seconds. The caller regularly calls the method `look`, which records the
    totals since the start of the run."""

    def __init__(self, seconds: float = WINDOW_S):
        self._seconds = seconds
        self._looks: deque[tuple[float, int, int, int]] = deque()

    def look(self, now: float, calls: int, tokens_in: int, tokens_out: int) -> None:
        """Record the totals at `now`. They must not decrease."""
        self._looks.append((now, calls, tokens_in, tokens_out))
        while len(self._looks) > 2 and now - self._looks[1][0] >= self._seconds:
            self._looks.popleft()

    @property
    def rates(self) -> Rates | None:
        """The rates; None until totals were recorded at two different times."""
        if len(self._looks) < 2 or self._looks[-1][0] <= self._looks[0][0]:
            return None
        first, last = self._looks[0], self._looks[-1]
        seconds = last[0] - first[0]
        return Rates(*((new - old) / seconds for old, new in zip(first[1:], last[1:], strict=True)))


def seconds_left(calls_wanted: float | None, calls_made: int, rate: float | None) -> float | None:
    """Return how many seconds the remaining calls take at `rate` calls per second. Return None if this cannot be
    estimated."""
    if calls_wanted is None or rate is None or rate <= 0:
        return None
    return max(calls_wanted - calls_made, 0.0) / rate


def calls_expected(calls_of_finished: int, finished: int, wanted: int | None) -> float | None:
    """Return the expected number of calls for `wanted` items. Each item is assumed to take as many calls as the
    finished items took on average. `finished`: the number of finished items. `calls_of_finished`: the calls of all
    finished items together. Return None if no item is finished or `wanted` is None."""
    return None if not finished or wanted is None else calls_of_finished / finished * wanted


@dataclass
class Funnel:
    """Counts what became of the proposals of a round. `distinct` and `duplicates`: how many accepted proposals are
    distinct and how many are duplicates. Both are None until deduplication has run."""

    proposed: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    distinct: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """All numbers of the progress display at one moment. `need`: how many items must be finished before the stage can
    end. In a round of the synthesis, these items are samples that the gate has accepted."""

    stage: str
    round: int | None
    rounds: int | None
    elapsed_s: float
    stage_s: float
    done: int
    total: int | None
    need: int | None
    funnel: Funnel
    requested: int
    answered: int
    replayed: int
    tokens_in: int
    tokens_out: int
    rates: Rates | None
    in_flight: Mapping[str, int]
    servers_out: Sequence[str] | None
    eta_s: float | None
    eta_run_s: float | None
    servers: Sequence[Mapping[str, Any]] | None = None  # from a backend's `servers()`; None: it has none
    committee: Mapping[str, Any] | None = (
        None  # the health of the reviewers (committee/health.py); None: nothing reviewed yet
    )


class State:
    """Counts what the round loop reports: stages that begin, items that are finished, and duplicates. The event loop's
    thread updates the counts, and another thread may call `snapshot`."""

    def __init__(
        self,
        traffic: Traffic,
        rounds: int | None = None,
        servers_out: Callable[[], Sequence[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        servers: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
        in_flight: Callable[[], Mapping[str, int]] | None = None,
        health: Health | None = None,
    ):
        """Start counting. `health`: the statistics of the committee; the round loop updates them in the thread that
        calls `advance`. `in_flight`: a function that returns the number of calls at the servers by model, for a backend
        that itself queues calls; None: the calls in flight are taken from `traffic`."""
        self._servers, self._in_flight = servers, in_flight
        self._traffic, self._rounds, self._servers_out, self._clock = traffic, rounds, servers_out, clock
        self._health, self._health_at = health, -math.inf
        self._committee: Mapping[str, Any] | None = None
        self._window = Window()
        self._begun = self._stage_begun = clock()
        self._stage = ""
        self._round: int | None = None
        self._total: int | None = None
        self._done = self._calls_of_finished = self._calls_before = 0
        self._funnel = Funnel()

    def stage(self, name: str, total: int | None) -> None:
        """Begin a stage. `total`: the number of its items; None: unknown."""
        found = _ROUND.match(name)
        number = int(found[1]) if found else None
        if number != self._round:
            self._round, self._funnel = number, Funnel()
        self._stage, self._total, self._stage_begun = name, total, self._clock()
        self._health_at = -math.inf
        self._update_health()
        self._done = self._calls_of_finished = 0
        self._calls_before = self._calls()

    def advance(self, outcome: Outcome | None) -> None:
        """Count one finished item of the stage. `outcome`: the outcome of the proposal, or None if the item is not a
        proposal."""
        self._done += 1
        self._update_health()
        if outcome is None:
            return
        funnel = self._funnel
        funnel.proposed += 1
        self._calls_of_finished += len(outcome.calls)
        if outcome.status == "accepted":
            funnel.accepted += 1
        else:
            group = GROUPS.get(outcome.reason, "other")
            funnel.lost[group] = funnel.lost.get(group, 0) + 1

    def deduplicated(self, distinct: int, duplicates: int) -> None:
        """Note how many of the round's accepted samples are distinct, and how many are duplicates."""
        self._funnel.distinct, self._funnel.duplicates = distinct, duplicates

    def _update_health(self) -> None:
        if self._health is None or not self._health.reviewed or self._clock() - self._health_at < HEALTH_S:
            return
        self._committee, self._health_at = self._health.account(), self._clock()

    def look(self) -> None:
        """Record the numbers of calls and tokens up to now, from which the rates are computed."""
        self._window.look(self._clock(), self._traffic.answered, self._traffic.tokens_in, self._traffic.tokens_out)

    def snapshot(self) -> Snapshot:
        """Return the state now."""
        traffic, funnel, now = self._traffic, self._funnel, self._clock()
        rates = self._window.rates
        proposing = self._stage == f"round {self._round}"
        need = self._total
        if proposing and need is not None and funnel.distinct is not None:
            need += funnel.duplicates or 0
        made = self._calls() - self._calls_before
        if proposing:
            wanted = calls_expected(self._calls_of_finished, funnel.accepted, need)
        else:
            wanted = calls_expected(made, self._done, self._total)
        rate = rates.calls_s if rates else None
        eta = seconds_left(wanted, made, rate)
        return Snapshot(
            stage=self._stage,
            round=self._round,
            rounds=self._rounds,
            elapsed_s=now - self._begun,
            stage_s=now - self._stage_begun,
            done=self._done,
            total=self._total,
            need=need,
            funnel=Funnel(funnel.proposed, dict(funnel.lost), funnel.accepted, funnel.distinct, funnel.duplicates),
            requested=traffic.requested,
            answered=traffic.answered,
            replayed=traffic.replayed,
            tokens_in=traffic.tokens_in,
            tokens_out=traffic.tokens_out,
            rates=rates,
            in_flight=dict(traffic.in_flight if self._in_flight is None else self._in_flight()),
            servers_out=None if self._servers_out is None else self._servers_out(),
            eta_s=eta,
            eta_run_s=self._eta_run(eta, wanted, rate, proposing),
            servers=None if self._servers is None else self._servers(),
            committee=self._committee,
        )

    def _eta_run(self, eta: float | None, wanted: float | None, rate: float | None, proposing: bool) -> float | None:
        """Return the seconds to the end of the last round; None if they are unknown. They can be estimated only while
        proposals are made, because other stages do not show how many calls a round takes."""
        if not proposing or eta is None or wanted is None or not rate or self._round is None or self._rounds is None:
            return None
        rounds_after = max(self._rounds - self._round, 0)
        annotate = self._total or 0  # one call per kept sample
        return eta + (annotate + rounds_after * (wanted + annotate)) / rate

    def _calls(self) -> int:
        return self._traffic.answered + self._traffic.replayed
