import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from penchant.errors import InputError, StoreError
from penchant.history.records import Record
from penchant.steering.storage.bank import Bank, basis_of
from penchant.steering.storage.bank_file import (
    AREA,
    StaleBankError,
    Storage,
    bank_bytes,
    bank_path,
    dequantize,
    load_bank,
    quantize,
    save_bank,
)
from penchant.store.erasure.lineage import source_of
from penchant.store.store import Store
from tests.steering.cases import MODEL, SITES, bank_of, places, same

STORAGES: tuple[Storage, ...] = ("bfloat16", "int8", "low-rank")
BASIS = basis_of([bank_of("u1", 30, 1), bank_of("u2", 30, 2)], torch.zeros(12), rank=20)
"""Of everything: 12 axes of 12, 20 of 20. A basis counts for "low-rank" only."""
FEW = basis_of([bank_of("u1", 9, 1), bank_of("u2", 9, 2)], torch.ones(12), rank=3)


def rounded(bank: Bank, storage: Storage, folder: Path) -> Bank:
    """What comes back after a trip to disk."""
    path = folder / "trip.safetensors"
    save_bank(path, bank, storage, basis=BASIS)
    return load_bank(path, MODEL, basis=BASIS)


@pytest.mark.parametrize(("storage", "error"), [("bfloat16", 2**-8), ("int8", 1 / 127), ("low-rank", 0.02)])
def test_what_is_saved_is_loaded(storage: Storage, error: float, tmp_path: Path) -> None:
    bank = bank_of(rows=5)
    timeless = replace(bank.rows[1], when=None, record="", contrast="x", sources=())
    odd = replace(bank.rows[2], record="日本\x00 " + "long" * 40)
    bank = replace(bank, rows=(bank.rows[0], timeless, odd, *bank.rows[3:]))
    path = bank_path(tmp_path / "new", bank.identity)
    assert save_bank(path, bank, storage, basis=BASIS) == [True] * 5
    found = load_bank(path, MODEL, basis=BASIS)
    assert (found.rows, found.model, found.reading, found.key) == (bank.rows, MODEL, bank.reading, bank.key)
    assert found.sites == bank.sites
    for values, wanted in [(found.keys, bank.keys)] + [(found.vectors[site], bank.vectors[site]) for site in SITES]:
        assert values.dtype == torch.float32
        assert float((values - wanted).abs().amax() / wanted.abs().amax()) <= error
    assert [file.suffix for file in path.parent.iterdir()].count(".part") == 0


def test_a_second_trip_changes_nothing(tmp_path: Path) -> None:
    for storage in STORAGES:
        once = rounded(bank_of(rows=60), storage, tmp_path)
        assert same(rounded(once, storage, tmp_path), once)
    path = tmp_path / "few.safetensors"
    for seed in range(20):
        trips = [bank_of(rows=20, seed=seed)]
        for _ in range(3):
            save_bank(path, trips[-1], "low-rank", basis=FEW)
            trips.append(load_bank(path, MODEL, basis=FEW))
        assert same(trips[1], trips[2]) and same(trips[2], trips[3])


@pytest.mark.parametrize("largest", [1.0, 1 + 2**-13, 1 + 2**-12, 1 - 2**-13, 1 + 3 * 2**-13, 0.7, 1e-30, 1e20])
def test_coefficients_withstand_rounding_errors(largest: float) -> None:
    """A trip through vectors and back changes their last digits."""
    written = quantize("c", torch.tensor([[largest, -largest / 3, largest / 1e4]]), "low-rank")
    again = dequantize("c", written)
    assert float((again[0, 0] - largest).abs()) <= largest * 2**-13
    for nudge in (1 - 2e-6, 1.0, 1 + 2e-6):
        found = quantize("c", again * nudge, "low-rank")
        assert all(torch.equal(found[name], written[name]) for name in written)


def test_a_row_of_zeros_stays_zero(tmp_path: Path) -> None:
    bank = replace(bank_of(), vectors={SITES[0]: torch.zeros(4, 12)})
    for storage in STORAGES:
        assert torch.equal(rounded(bank, storage, tmp_path).vectors[SITES[0]], torch.zeros(4, 12))


def test_the_basis_is_needed_to_read(tmp_path: Path) -> None:
    bank, path = bank_of(), tmp_path / "b.safetensors"
    save_bank(path, bank, "low-rank", basis=FEW)
    found = load_bank(path, MODEL, basis=FEW)
    wanted = FEW.vectors(FEW.coefficients(bank))
    for values, want in [(found.keys, wanted.keys)] + [(found.vectors[site], wanted.vectors[site]) for site in SITES]:
        assert torch.allclose(values, want, atol=1e-3)
    with pytest.raises(StaleBankError, match="none was given"):
        load_bank(path, MODEL)
    with pytest.raises(StaleBankError, match=f"{BASIS.fingerprint} was given"):
        load_bank(path, MODEL, basis=BASIS)
    with pytest.raises(InputError, match="without a basis"):
        save_bank(path, bank, "low-rank")
    with pytest.raises(InputError, match="no axes for"):
        save_bank(path, bank, "low-rank", basis=replace(FEW, axes={SITES[0]: FEW.axes[SITES[0]]}))


def test_a_basis_counts_for_low_rank_only(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    save_bank(path, bank_of(), basis=FEW)
    save_bank(tmp_path / "plain.safetensors", bank_of())
    assert same(load_bank(path, MODEL), load_bank(tmp_path / "plain.safetensors", MODEL, basis=BASIS))


def test_another_model_or_version_or_none_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    with pytest.raises(StaleBankError, match="there is no bank"):
        load_bank(path, MODEL)
    save_bank(path, bank_of())
    with pytest.raises(StaleBankError, match=r"another model .*read it anew"):
        load_bank(path, "e" * 64)
    tampered(path, format="0")
    with pytest.raises(StaleBankError, match="another version of Penchant"):
        load_bank(path, MODEL)


def tampered(path: Path, **about: str) -> None:
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **about}
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize("storage", STORAGES)
def test_every_damaged_byte_is_noticed(storage: Storage, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    save_bank(path, bank_of(rows=2), storage, basis=BASIS)
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in range(start, len(whole), 23):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(StoreError, match="damaged"):
            load_bank(path, MODEL, basis=BASIS)
    for cut in (0, 5, start - 1, start + 9, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match="make it again"):
            load_bank(path, MODEL, basis=BASIS)


def test_damaged_facts_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    for about in (
        {"reading": "prompt_last"},
        {"key": "9.block mean"},
        {"sites": "[]"},
        {"basis": "0" * 16},
        {"sources": json.dumps([[str(source_of("mia", "m1"))]] * 4)},
    ):
        save_bank(path, bank_of())
        tampered(path, **about)
        with pytest.raises(StoreError, match="damaged"):
            load_bank(path, MODEL)


def test_nothing_of_one_user_is_in_anothers_file(tmp_path: Path) -> None:
    """The published code of Fints never clears its table between users: each file holds all users before."""
    ada, bob = bank_of("ada", 3, seed=1), bank_of("bob", 3, seed=2)
    named = (replace(row, record=f"ada-{row.record}", contrast=f"of-ada-{i}") for i, row in enumerate(ada.rows))
    ada = replace(ada, rows=tuple(named))
    for user, bank in (("ada", ada), ("bob", bob)):
        save_bank(bank_path(tmp_path / user, bank.identity), bank)
    raw = bank_path(tmp_path / "bob", bob.identity).read_bytes()
    alone = tmp_path / "alone.safetensors"
    save_bank(alone, bob)
    assert len(raw) == len(alone.read_bytes())
    assert same(load_bank(bank_path(tmp_path / "bob", bob.identity), MODEL), load_bank(alone, MODEL))
    for row in ada.rows:
        for name in (row.contrast, row.record, str(source_of("ada", row.record)), str(source_of("ada"))[:16]):
            assert name.encode() not in raw
    for site in SITES:
        for vector in ada.vectors[site].bfloat16().view(torch.int16).numpy():
            assert vector.tobytes() not in raw
    assert len(load_bank(alone, MODEL)) == 3


@pytest.mark.parametrize("storage", STORAGES)
def test_forgetting_takes_the_rows_out_of_the_file(storage: Storage, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add("ada", [Record(f"text of record number {i}", f"r{i}") for i in range(4)])
        store.add("eve", [Record(f"something else, number {i}", f"d{i}") for i in range(4)])
        path = bank_path(store.user_dir(AREA, "ada"), bank_of().identity)
        save_bank(path, bank_of(), storage, basis=BASIS)
        before = load_bank(path, MODEL, basis=BASIS)
        store.forget_record("ada", "r1")
        left = [0, 2, 3]
        assert same(load_bank(path, MODEL, basis=BASIS), places(before, left))
        rebuilt = tmp_path / "rebuilt.safetensors"
        save_bank(rebuilt, places(bank_of(), left), storage, basis=BASIS)
        assert same(load_bank(rebuilt, MODEL, basis=BASIS), load_bank(path, MODEL, basis=BASIS))
        store.forget_record("eve", "d3")
        assert same(load_bank(path, MODEL, basis=BASIS), places(before, [0, 2]))
        store.forget("eve")
        with pytest.raises(StaleBankError, match="no bank"):
            load_bank(path, MODEL)


@pytest.mark.parametrize("storage", STORAGES)
def test_what_was_erased_while_it_was_read_is_not_written(storage: Storage, tmp_path: Path) -> None:
    path, fresh = tmp_path / "b.safetensors", tmp_path / "fresh.safetensors"
    there = [True, False, True, True]
    assert save_bank(path, bank_of(), storage, basis=BASIS, still=lambda: there) == there
    save_bank(fresh, places(bank_of(), [0, 2, 3]), storage, basis=BASIS)
    assert same(load_bank(path, MODEL, basis=BASIS), load_bank(fresh, MODEL, basis=BASIS))
    assert save_bank(path, bank_of(), storage, basis=BASIS, still=lambda: [False] * 4) == [False] * 4
    assert not path.exists()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.safetensors"
    save_bank(path, bank_of())
    before = path.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        save_bank(path, bank_of(rows=2))
    assert path.read_bytes() == before


@pytest.mark.parametrize("storage", STORAGES)
def test_bytes_are_those_of_the_files(storage: Storage, tmp_path: Path) -> None:
    bank, path = bank_of(rows=6), tmp_path / "b.safetensors"
    save_bank(path, bank, storage, basis=BASIS)
    assert bank_bytes(bank, storage, basis=BASIS) == path.stat().st_size
    assert bank_bytes(bank) == bank_bytes(bank, "bfloat16", basis=BASIS)
    assert bank_bytes(bank, "low-rank", basis=FEW) < bank_bytes(bank, "low-rank", basis=BASIS)


def test_a_wrong_storage_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    with pytest.raises(Exception, match="storage"):  # a type error where types are checked
        save_bank(tmp_path / "b.safetensors", bank_of(), "float8")  # type: ignore[arg-type]


def test_int8_rounds_every_row_by_itself(tmp_path: Path) -> None:
    scales = torch.tensor([1e-4, 1.0, 1e3, 1e-2])[:, None]
    bank = replace(bank_of(), vectors={SITES[0]: bank_of().vectors[SITES[0]] * scales})
    found = rounded(bank, "int8", tmp_path).vectors[SITES[0]]
    wanted = bank.vectors[SITES[0]]
    assert bool(((found - wanted).abs().amax(1) <= wanted.abs().amax(1) / 250).all())
