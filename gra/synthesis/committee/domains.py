"""PURE: chooses the records that a prompt for a domain shows to the generator: records of this domain, records borrowed
from similar domains, and demonstrations.

If a domain has few records, all of its prompts would show the same ones. A domain with fewer than
`synthesis.thin_domain` records therefore borrows records from similar domains (`NEAR`). Each prompt still shows at
least one record of the domain itself. A demonstration is a record that is shown as a turn of a chat; its instruction is
one request of at most DEMONSTRATION characters.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gra.synthesis.committee.records import DOMAINS, Record
from gra.wellformed import printable

DEMONSTRATION = 240  # maximum characters of a demonstration's instruction
NEAR = {  # domain -> domains it borrows from, most similar first; an unlisted one borrows from all DOMAINS, in order
    "coding": ("mathematics", "reasoning", "question answering"),
    "mathematics": ("reasoning", "coding", "question answering"),
    "question answering": ("reasoning", "language", "creation"),
    "reasoning": ("mathematics", "question answering", "language"),
    "role-play": ("creation", "language", "question answering"),
    "language": ("creation", "question answering", "role-play"),
    "creation": ("role-play", "language", "question answering"),
}
_SENTENCE = re.compile(r"[.!?](?=\s)")
log = logging.getLogger("gra.synthesis")


@dataclass(frozen=True)
class DomainPool:
    """The records that prompts of one domain can show.

    `records`: first the domain's own records, then borrowed ones. `own`: how many records are the domain's own.
    `examples`: the indices in `records` of the records that can be demonstrations (turns of a chat).
    """

    records: tuple[Record, ...]
    own: int
    examples: tuple[int, ...]
    sources: tuple[str, ...] = ()  # the domains of the borrowed records
    taken: tuple[tuple[str, ...], ...] = ()  # keywords of the domain's newest own records


LEFT_OUT = DomainPool((), 0, ())


def by_domain(pool: Sequence[Record], shots: int, least: int = 0, taken: int = 0) -> dict[str, DomainPool]:
    """Return the records that the prompts of each domain can show.

    If a domain has fewer than `least` records, it borrows records from similar domains until it has `least`. Each
    prompt shows `shots` records. If a domain has fewer than `shots` records even after borrowing, it is left out.
    `pool`: the records of all domains. New samples must not repeat the keywords of a domain's newest records. `taken`:
    the number of these newest records.
    """
    found: dict[str, list[Record]] = {}
    for record in pool:
        found.setdefault(record.domain, []).append(record)
    pools = {domain: _pool(domain, found, least, taken) for domain in found}
    return {domain: entry for domain, entry in pools.items() if len(entry.records) >= shots}


def _pool(domain: str, found: Mapping[str, Sequence[Record]], least: int, taken: int) -> DomainPool:
    own = found[domain]
    near = [name for name in NEAR.get(domain, DOMAINS) if name != domain and name in found]
    borrowed: list[Record] = []
    if len(own) < least:
        lenders = [_spread(found[name], least) for name in near]
        turns = max(map(len, lenders), default=0)
        borrowed = [lender[i] for i in range(turns) for lender in lenders if i < len(lender)][: least - len(own)]
    records = (*own, *borrowed)
    places = tuple(i for i, record in enumerate(records) if fits(record.instruction))
    newest = tuple(record.keywords for record in own[len(own) - min(taken, len(own)) :])
    return DomainPool(records, len(own), places, tuple(dict.fromkeys(r.domain for r in borrowed)), newest)


def _spread(records: Sequence[Record], most: int) -> list[Record]:
    """Return the `most` records whose ids have the lowest hashes. The choice does not depend on the records' order, and changes
    little as the pool grows."""
    return sorted(records, key=lambda r: hashlib.sha256(r.id.encode()).digest())[:most]


def shown(pool: DomainPool, shots: int, rng: random.Random) -> tuple[Record, ...]:
    """Draw `shots` records, which the prompts of one proposal show. If the domain borrows records, the first record
    drawn is one of its own."""
    if pool.own == len(pool.records):
        return tuple(rng.sample(pool.records, shots))
    first = rng.randrange(pool.own)
    rest = [record for i, record in enumerate(pool.records) if i != first]
    return (pool.records[first], *rng.sample(rest, shots - 1))


def demonstrations(
    pool: DomainPool, count: int, rng: random.Random, spare: Sequence[Record] = ()
) -> tuple[Record, ...]:
    """Draw `count` records that a prompt shows as turns of a chat, in random order.

    Only records that are short enough for a demonstration are used (`pool.examples`). Of these, twice `count` records
    are drawn, and the shorter half is used. If the domain borrows records from other domains, and at least one of its
    own records is short enough, one such record is always used. If fewer than `count` records of the pool are short
    enough, the missing ones are drawn from `spare`.
    """
    drawn = rng.sample(pool.examples, min(2 * count, len(pool.examples)))
    own = [i for i in pool.examples if i < pool.own]
    if pool.own < len(pool.records) and own and count:
        first = rng.choice(own)
        drawn = [first, *sorted((i for i in drawn if i != first), key=lambda i: len(pool.records[i].instruction))]
    else:
        drawn.sort(key=lambda i: len(pool.records[i].instruction))
    chosen = [pool.records[i] for i in drawn[:count]]
    if len(chosen) < count:
        chosen += rng.sample(list(spare), min(count - len(chosen), len(spare)))
    rng.shuffle(chosen)
    return tuple(chosen)


def fits(instruction: str) -> bool:
    """Return whether an instruction is suitable as a demonstration (a chat turn in a prompt). It is suitable if it is
    one line of at most DEMONSTRATION characters and makes only one request."""
    text = instruction.strip()
    short = 0 < len(text) <= DEMONSTRATION and "\n" not in text
    return short and len(_SENTENCE.findall(text)) <= 2 and text.count("?") <= 1


def report_thin(
    pool: Sequence[Record], domains: Mapping[str, DomainPool], logged: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return an entry for stats.json for each domain with too few records.

    Such a domain borrows records in this round. If it still has fewer records than a prompt shows, it gets no
    proposals. The entries are also logged, but a domain with an entry in `logged` is not logged again. `logged`: the
    entries of earlier rounds.
    """
    own = Counter(record.domain for record in pool)
    thin: list[dict[str, Any]] = [
        {"domain": name, "own": own[name], "borrowed": len(found.records) - found.own, "from": list(found.sources)}
        for name in sorted(own)
        if (found := domains.get(name, LEFT_OUT)).own < len(found.records) or found is LEFT_OUT
    ]
    for entry in thin:
        if all(entry["domain"] != earlier["domain"] for earlier in logged):
            log.warning("domain %s: %s", printable(entry["domain"]), printable(_in_words(entry)))
    return thin


def _in_words(entry: Mapping[str, Any]) -> str:
    own = f"only {entry['own']} record{'' if entry['own'] == 1 else 's'}"
    if not entry["borrowed"]:
        return f"{own}, fewer than a prompt shows (synthesis.shots): no proposals in this domain"
    return f"{own}, so prompts also show {entry['borrowed']} from {', '.join(entry['from'])} (synthesis.thin_domain)"
