"""Watches a running committee: logs each of its faults once, and decides whether to end the run because the reviews
carry no information (`synthesis.stop_when_blind`)."""

from __future__ import annotations

import logging

from gra.synthesis.committee import health
from gra.synthesis.committee.records import Outcome
from gra.synthesis.settings import SynthesisSettings
from gra.wellformed import printable

log = logging.getLogger("gra.synthesis")

FIRST_LOOK = 50  # number of reviewed samples at the first report; the number doubles for each later report


class Watch:
    """Watches the committee of one run. Outcomes must be added in a fixed order. `state`: the statistics of the
    committee's health, which this object updates. A caller that wants to read the statistics passes its own `state`."""

    def __init__(self, settings: SynthesisSettings, state: health.Health | None = None):
        self._limit, self._health = settings.stop_when_blind, state or health.Health()
        self._reported, self._report_at = set[str](), FIRST_LOOK

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of a proposal. New faults of the committee are logged after the first 50 reviewed samples,
        and each time the number of reviewed samples has doubled."""
        self._health.add(outcome)
        if self._health.reviewed >= self._report_at:
            self._report_at *= 2
            self.report()

    def report(self) -> None:
        """Log the faults of the committee that were not logged earlier in this run."""
        for kind, text in health.faults(self._health.account()):
            if kind not in self._reported:
                self._reported.add(kind)
                log.warning("COMMITTEE: %s", printable(text))

    def is_blind(self) -> bool:
        """Return whether the run has to end now. It has to end if at least `stop_when_blind` samples were reviewed and
        the reviews carry no information."""
        limit = self._limit
        return limit is not None and self._health.reviewed >= limit and health.blind(self._health.account())

    @property
    def warnings(self) -> list[str]:
        """The faults of the committee, one sentence each."""
        found: list[str] = self._health.account()["warnings"]
        return found
