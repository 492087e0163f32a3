from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.steering.bank import empty_bank
from penchant.steering.basis import basis_of
from tests.steering.cases import SITES, WIDTHS, bank_of, places


def test_vectors_that_lie_in_few_directions_come_back() -> None:
    bank = bank_of(rows=10)
    flat = {site: bank.vectors[site][:, :3] @ torch.randn(3, width) for site, width in WIDTHS.items()}
    basis = basis_of([replace(bank, vectors=flat)], rank=3)
    for site in SITES:
        assert basis.axes[site].shape == (3, WIDTHS[site])
        coefficients = basis.coefficients(site, flat[site])
        assert coefficients.shape == (10, 3)
        error = (basis.vectors(site, coefficients) - flat[site]).norm() / flat[site].norm()
        assert error < 0.01  # axes are rounded to bfloat16


def test_it_is_the_best_basis_of_its_rank() -> None:
    banks = [bank_of("a", 6, 1), bank_of("b", 7, 2)]
    rows = torch.cat([bank.vectors[SITES[1]] for bank in banks])
    basis = basis_of(banks, rank=4)
    left = rows - basis.vectors(SITES[1], basis.coefficients(SITES[1], rows))
    wanted = torch.linalg.svdvals(rows)[4:].square().sum().sqrt()
    assert float(left.norm()) == pytest.approx(float(wanted), rel=0.01)


def test_the_rank_is_at_most_what_the_rows_have() -> None:
    assert basis_of([bank_of(rows=2)], rank=5).axes[SITES[0]].shape == (2, 12)


def test_a_fingerprint_tells_bases_apart() -> None:
    one = basis_of([bank_of()], 2)
    assert one.fingerprint == basis_of([bank_of()], 2).fingerprint
    different = [basis_of([bank_of()], 3), basis_of([bank_of(seed=1)], 2), replace(one, model="x")]
    assert len({one.fingerprint, *(basis.fingerprint for basis in different)}) == 4


def test_nothing_to_make_one_of() -> None:
    with pytest.raises(InputError, match="at least 1 of each"):
        basis_of([empty_bank(bank_of())])
    with pytest.raises(InputError, match="at least 1 of each"):
        basis_of([bank_of()], 0)
    with pytest.raises(InputError, match="different models or sites"):
        basis_of([bank_of(), replace(places(bank_of(), [0]), model="x")])
