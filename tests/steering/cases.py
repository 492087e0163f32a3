"""Banks of made-up numbers, shared by the tests of what is done with them."""

from datetime import UTC, datetime, timedelta

import torch

from penchant.inference.sites import Site
from penchant.steering.storage.bank import Bank, KeySite, Row, drop
from penchant.store.erasure.lineage import source_of

SITES = (Site(1, "attention"), Site(2, "heads"))
WIDTHS = {SITES[0]: 12, SITES[1]: 20}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MODEL = "f" * 64


def bank_of(user: str = "ada", rows: int = 4, seed: int = 0, timed: bool = True) -> Bank:
    """Row i is of record "r<i>", i days old; donors: record "d<i>" of user "eve"."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for i in range(rows):
        sources = tuple(sorted([source_of(user, f"r{i}"), source_of("eve", f"d{i}")]))
        when = NOW - timedelta(days=i, microseconds=7) if timed else None
        made.append(Row(f"{seed:08x}{i:08x}", f"r{i}", when, sources))
    vectors = {site: torch.randn(rows, WIDTHS[site], generator=generator) for site in SITES}
    keys = torch.randn(rows, 12, generator=generator)
    return Bank(vectors, keys, tuple(made), MODEL, "answer_mean", KeySite(Site(1, "block")))


def same(one: Bank, other: Bank) -> bool:
    """Bit for bit."""
    numbers = [(one.vectors[site], other.vectors[site]) for site in one.sites] + [(one.keys, other.keys)]
    facts = ("rows", "model", "reading", "key", "sites")
    return all(getattr(one, name) == getattr(other, name) for name in facts) and all(
        torch.equal(a, b) and a.dtype == b.dtype == torch.float32 for a, b in numbers
    )


def empty(bank: Bank) -> Bank:
    """A bank without rows, of the same model, sites and reading."""
    return drop(bank, [row.contrast for row in bank.rows])


def places(bank: Bank, rows: list[int]) -> Bank:
    """A bank made of some rows alone, by hand."""
    vectors = {site: torch.stack([bank.vectors[site][row] for row in rows]) for site in bank.sites}
    keys = torch.stack([bank.keys[row] for row in rows])
    return Bank(vectors, keys, tuple(bank.rows[row] for row in rows), bank.model, bank.reading, bank.key)
