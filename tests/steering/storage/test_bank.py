from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.sites import Site
from penchant.steering.data.contrast import Contrast
from penchant.steering.storage.bank import Bank, KeySite, Row, drop
from penchant.store.erasure.lineage import source_of
from tests.steering.cases import MODEL, SITES, bank_of, empty, places, same


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


@pytest.mark.parametrize("gone", [[1, 3], [0, 1], [4]])
def test_dropping_equals_never_having_read(gone: list[int]) -> None:
    bank, before = bank_of(rows=5), bank_of(rows=5)
    left = [number for number in range(5) if number not in gone]
    assert same(drop(bank, [bank.rows[number].contrast for number in gone]), places(bank, left))
    assert same(bank, before)


def test_dropping_nothing_or_everything() -> None:
    bank = bank_of()
    assert drop(bank, ["x", "r1"]) is bank
    gone = empty(bank)
    assert len(gone) == 0
    assert gone.vectors[SITES[1]].shape == (0, 20)
    assert gone.days.shape == gone.tie_order.shape == (0,)


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "other"), ("reading", "prompt_last"), ("key", KeySite(Site(1, "block"), "last"))],
)
def test_unlike_banks_are_told_apart(name: str, value: object) -> None:
    other = replace(bank_of(seed=1), **{name: value})
    assert other.identity != bank_of().identity == bank_of(seed=1).identity
    fewer = replace(bank_of(seed=1), vectors={SITES[0]: torch.zeros(4, 12)})
    assert fewer.identity != bank_of().identity


def test_a_contrast_is_there_once() -> None:
    with pytest.raises(InputError, match="twice"):
        replace(bank_of(), rows=(bank_of().rows[0],) * 4)


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
    assert mixed.tie_order.tolist() == [2, 0, 1]
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
