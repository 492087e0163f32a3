from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.history.store.derived import source_of
from penchant.models.sites import Site
from penchant.steering.bank import Bank, KeySite, Row, append, drop, empty_bank, missing
from penchant.steering.contrast import Contrast
from tests.steering.cases import MODEL, SITES, bank_of, places, same


def test_a_row_names_the_record_and_the_donors_but_no_user() -> None:
    local = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    donors = (source_of("eve", "e1"), source_of("bob", "b1"))
    contrast = Contrast(Request("q"), "a", "b", "others", "r1", local, donors)
    row = Row.of("ada", contrast)
    assert row.contrast == contrast.id
    assert row.record == "r1"
    assert row.when == datetime(2026, 1, 1, tzinfo=UTC)
    assert set(row.sources) == {source_of("ada", "r1"), *donors}
    naive = replace(contrast, when=datetime(2026, 1, 1), donors=())
    assert Row.of("ada", naive).when == datetime(2026, 1, 1, tzinfo=UTC)
    assert Row.of("ada", Contrast(Request("q"), "a", "b", "feedback")).sources == ()


def test_what_was_read_in_two_goes_equals_one() -> None:
    whole = bank_of(rows=5)
    assert same(append(places(whole, [0, 1]), places(whole, [2, 3, 4])), whole)
    assert same(append(empty_bank(whole), whole), whole)
    assert same(append(whole, empty_bank(whole)), whole)


@pytest.mark.parametrize(
    "what",
    [
        {"records": ["r1", "r3"]},
        {"contrasts": [f"{0:08x}{1:08x}", f"{0:08x}{3:08x}"]},
        {"sources": [source_of("ada", "r1"), source_of("eve", "d3")]},
        {"records": ["r1"], "sources": [source_of("eve", "d3")]},
    ],
)
def test_dropping_equals_never_having_read(what: dict) -> None:
    bank = bank_of(rows=5)
    before = bank_of(rows=5)
    assert same(drop(bank, **what), places(bank, [0, 2, 4]))
    assert same(bank, before)


def test_dropping_nothing_or_everything() -> None:
    bank = bank_of()
    assert drop(bank, records=["r9"], contrasts=["x"], sources=[source_of("mia", "r1")]) is bank
    gone = drop(bank, records=["r0", "r1", "r2", "r3"])
    assert len(gone) == 0
    assert gone.vectors[SITES[1]].shape == (0, 20)
    assert gone.days.shape == gone.places.shape == (0,)


def test_an_entangled_bank_refuses_to_drop_but_not_to_keep() -> None:
    bank = replace(bank_of(), entangled=True)
    assert drop(bank, records=["r9"]) is bank
    with pytest.raises(InputError, match="read the bank anew"):
        drop(bank, records=["r1"])


def test_what_is_missing() -> None:
    contrasts = [Contrast(Request(f"q{i}"), "a", "b", "none", f"r{i}") for i in range(3)]
    made = bank_of(rows=2)
    bank = replace(made, rows=(Row.of("ada", contrasts[2]), made.rows[1]))
    assert missing(bank, contrasts) == contrasts[:2]


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "other"), ("reading", "prompt_last"), ("key", KeySite(Site(1, "block"), "last")), ("entangled", True)],
)
def test_unlike_banks_are_not_mixed(name: str, value: object) -> None:
    other = replace(bank_of(seed=1), **{name: value})
    with pytest.raises(InputError, match=f"different {name}"):
        append(bank_of(), other)
    if name != "entangled":
        assert other.identity != bank_of().identity
    fewer = replace(bank_of(seed=1), vectors={SITES[0]: torch.zeros(4, 12)})
    with pytest.raises(InputError, match="different sites"):
        append(bank_of(), fewer)
    assert fewer.identity != bank_of().identity


def test_a_contrast_is_there_once() -> None:
    with pytest.raises(InputError, match="twice"):
        append(bank_of(), bank_of())


def test_unusable_numbers_are_refused() -> None:
    bank = bank_of()
    with pytest.raises(InputError, match=r"3 rows at 1\.attention for 4 contrasts"):
        replace(bank, vectors={SITES[0]: torch.zeros(3, 12)})
    with pytest.raises(InputError, match="3 rows at keys"):
        replace(bank, keys=torch.zeros(3, 12))
    broken = torch.zeros(4, 12)
    broken[2, 1] = float("nan")
    with pytest.raises(InputError, match="finite"):
        replace(bank, vectors={SITES[0]: broken})


def test_days_and_places() -> None:
    bank = bank_of()
    mixed = replace(places(bank, [2, 0, 1]), rows=(bank.rows[2], replace(bank.rows[0], when=None), bank.rows[1]))
    assert mixed.places.tolist() == [2, 0, 1]
    assert np.isnan(mixed.days[1])
    assert mixed.days[2] - mixed.days[0] == pytest.approx(1)
    assert Row("a", when=datetime(1970, 1, 3, tzinfo=UTC)).when is not None
    one = Bank({SITES[0]: torch.zeros(1, 2)}, torch.zeros(1, 2), (Row("a", when=datetime(1970, 1, 3, tzinfo=UTC)),),
               MODEL, "answer_mean", bank.key)  # fmt: skip
    assert one.days.tolist() == [2.0]


def test_key_sites_are_written_and_read() -> None:
    for key in (KeySite(Site(3, "block")), KeySite(Site(0, "attention"), "last")):
        assert KeySite.parse(str(key)) == key
    for text in ("3.block", "3.block median", "block mean"):
        with pytest.raises(InputError):
            KeySite.parse(text)
