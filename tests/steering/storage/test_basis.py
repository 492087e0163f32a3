from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.steering.storage.bank import Bank, Basis, basis_of
from tests.steering.cases import SITES, WIDTHS, bank_of, empty, places, same

CENTRE = torch.arange(12.0)


def flat(rank: int = 3) -> Bank:
    """Vectors and keys that lie in few directions."""
    bank, draw = bank_of(rows=10), torch.Generator().manual_seed(5)
    vectors = {s: bank.vectors[s][:, :rank] @ torch.randn(rank, width, generator=draw) for s, width in WIDTHS.items()}
    return replace(bank, vectors=vectors, keys=CENTRE + bank.keys[:, :rank] @ torch.randn(rank, 12, generator=draw))


def test_vectors_that_lie_in_few_directions_come_back() -> None:
    bank = flat()
    basis = basis_of([bank], CENTRE, rank=3)
    written = basis.coefficients(bank)
    found = basis.vectors(written)
    for site in SITES:
        assert basis.axes[site].shape == (3, WIDTHS[site])
        assert written.vectors[site].shape == (10, 3)
        error = (found.vectors[site] - bank.vectors[site]).norm() / bank.vectors[site].norm()
        assert error < 0.01  # axes are rounded to bfloat16
    assert basis.keys.shape == (3, 12) and written.keys.shape == (10, 3)
    assert (found.keys - bank.keys).norm() / (bank.keys - CENTRE).norm() < 0.01
    assert (found.rows, found.model, found.key) == (bank.rows, bank.model, bank.key)


def test_it_is_the_best_basis_of_its_rank() -> None:
    banks = [bank_of("a", 6, 1), bank_of("b", 7, 2)]
    basis = basis_of(banks, CENTRE, rank=4)
    trips = [basis.vectors(basis.coefficients(bank)) for bank in banks]
    tables = [
        (torch.cat([one.vectors[SITES[1]] for one in banks]), torch.cat([one.vectors[SITES[1]] for one in trips])),
        (torch.cat([one.keys for one in banks]) - CENTRE, torch.cat([one.keys for one in trips]) - CENTRE),
    ]
    for rows, found in tables:
        wanted = torch.linalg.svdvals(rows)[4:].square().sum().sqrt()
        assert float((rows - found).norm()) == pytest.approx(float(wanted), rel=0.01)


def test_a_row_does_not_depend_on_the_others() -> None:
    bank = bank_of(rows=40)
    basis = basis_of([bank_of("b", 50, 2)], CENTRE, rank=5)
    whole = basis.coefficients(bank)
    for rows in ([7], [3, 39], list(range(1, 40))):
        alone = basis.coefficients(places(bank, rows))
        assert same(alone, places(whole, rows))
        assert same(basis.vectors(alone), places(basis.vectors(whole), rows))


def test_a_bank_without_rows_stays_one() -> None:
    basis = basis_of([bank_of()], CENTRE, rank=2)
    nobody = empty(bank_of())
    assert basis.coefficients(nobody).vectors[SITES[1]].shape == (0, 2)
    assert same(basis.vectors(basis.coefficients(nobody)), nobody)


def test_the_rank_is_at_most_what_the_rows_have() -> None:
    assert basis_of([bank_of(rows=2)], CENTRE, rank=5).axes[SITES[0]].shape == (2, 12)


def test_a_fingerprint_tells_bases_apart() -> None:
    one = basis_of([bank_of()], CENTRE, 2)
    assert one.fingerprint == basis_of([bank_of()], CENTRE, 2).fingerprint
    different = [
        basis_of([bank_of()], CENTRE, 3),
        basis_of([bank_of(seed=1)], CENTRE, 2),
        replace(one, centre=CENTRE + 1),
        replace(one, keys=-one.keys),
        replace(one, axes={SITES[1]: one.axes[SITES[1]]}),
    ]
    assert len({one.fingerprint, *(basis.fingerprint for basis in different)}) == 6


def test_another_site_or_width_is_refused() -> None:
    one = basis_of([bank_of()], CENTRE, 2)
    with pytest.raises(InputError, match="no axes for"):
        Basis({SITES[0]: one.axes[SITES[0]]}, one.keys, CENTRE).coefficients(bank_of())
    wide = replace(bank_of(), vectors={SITES[0]: torch.zeros(4, 13)})
    with pytest.raises(InputError, match=r"no axes for 1\.attention"):
        one.coefficients(wide)


def test_nothing_to_make_one_of() -> None:
    with pytest.raises(InputError, match="at least 1 of each"):
        basis_of([empty(bank_of())], CENTRE)
    with pytest.raises(InputError, match="at least 1 of each"):
        basis_of([bank_of()], CENTRE, 0)
    with pytest.raises(InputError, match="different models or sites"):
        basis_of([bank_of(), replace(places(bank_of(), [0]), model="x")], CENTRE)
