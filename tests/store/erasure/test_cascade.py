"""What is derived from an erased user goes with the user, in whoever's folder it is; nothing else does."""

import json
import random
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from penchant.errors import InputError, StoreError
from penchant.history.records import Record
from penchant.store.erasure import lineage
from penchant.store.erasure import users as erasure
from penchant.store.erasure.cascade import Erased, erase_derived
from penchant.store.erasure.lineage import (
    append_lines,
    derived_line,
    locked,
    read_rows,
    save_rows,
    sidecar_of,
    source_of,
    write_shared,
)
from tests.postgres import on_plain_text
from tests.store.erasure.contents import holding

USERS = ("ann", "bob", "cem", "dee")


def words(seed, count):
    rng = random.Random(seed)
    return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count))


def record(user, number):
    return Record(words(f"{user} {number}", 30), id=f"{user}{number}", reply=words(f"{user} reply {number}", 10))


def row(user, number, donors, text=""):
    sources = [source_of(user, f"{user}{number}"), *(source_of(name, f"{name}{n}") for name, n in donors)]
    return derived_line({"record": f"{user}{number}", "rejected": text}, sources)


def contrasts(store, user):
    return store.user_dir("contrasts", user) / "contrasts.jsonl"


@pytest.fixture
def store(open_store, tmp_path):
    with open_store(tmp_path / "store") as opened:
        opened.add_many((user, record(user, n)) for user in USERS for n in range(4))
        yield opened


def test_rows_of_others_go_with_their_donor_and_the_rest_stays_byte_for_byte(store):
    gone = record("ann", 1)
    kept = [row("bob", 0, [("cem", 0)], "from cem"), row("bob", 2, [], "from nobody"), row("bob", 3, [("dee", 1)])]
    goes = row("bob", 1, [("cem", 0), ("ann", 1)], f"it says: {gone.text}")
    append_lines(contrasts(store, "bob"), [kept[0], goes, *kept[1:]])
    append_lines(contrasts(store, "cem"), [row("cem", 0, [("dee", 0)])])
    append_lines(contrasts(store, "ann"), [row("ann", 0, [("bob", 0)], gone.text)])
    untouched = contrasts(store, "cem").stat()
    assert holding(store, gone.text)

    receipt = store.forget("ann")

    assert (receipt.records, receipt.files, receipt.derived) == (4, 1, 1)
    assert holding(store, gone.text) == []
    assert contrasts(store, "bob").read_text() == "".join(line + "\n" for line in kept)
    assert (contrasts(store, "cem").stat().st_ino, contrasts(store, "cem").stat().st_mtime_ns) == (
        untouched.st_ino,
        untouched.st_mtime_ns,
    )


def test_an_own_record_takes_its_row_and_nothing_else(store):
    rows = [row("bob", n, [("cem", n)]) for n in range(4)]
    append_lines(contrasts(store, "bob"), rows)
    append_lines(contrasts(store, "cem"), [row("cem", 0, [("bob", 0)]), row("cem", 1, [("bob", 1)])])
    store.forget_record("bob", "bob1")
    assert contrasts(store, "bob").read_text().splitlines() == [rows[0], rows[2], rows[3]]
    assert contrasts(store, "cem").read_text().splitlines() == [row("cem", 0, [("bob", 0)])]
    with pytest.raises(InputError, match="no record 'nobody'"):
        store.forget_record("bob", "bob2", "nobody")
    assert len(contrasts(store, "bob").read_text().splitlines()) == 3
    assert not list(store.directory.glob("erasing-*"))


def test_the_last_record_takes_everything_kept_for_the_user(store):
    append_lines(contrasts(store, "bob"), [row("bob", 0, []), derived_line({"feedback": "mine"}, [])])
    append_lines(contrasts(store, "cem"), [derived_line({}, [source_of("bob")]), row("cem", 0, [])])
    append_lines(contrasts(store, "dee"), [row("dee", 0, [("bob", "-replaced long ago")]), row("dee", 1, [])])
    store.forget_record("bob", *[f"bob{n}" for n in range(4)])
    assert not contrasts(store, "bob").parent.exists()
    assert contrasts(store, "cem").read_text().splitlines() == [row("cem", 0, [])]
    assert contrasts(store, "dee").read_text().splitlines() == [row("dee", 1, [])]


def test_nothing_is_erased_while_a_writer_is_at_work(store, open_store, monkeypatch):
    append_lines(contrasts(store, "bob"), [row("bob", 0, [("ann", 0)])])
    monkeypatch.setattr(lineage, "BUSY_SECONDS", 0.05)
    for erase in (lambda: store.forget("ann"), lambda: store.forget_record("ann", "ann0")):
        with locked(store.directory), pytest.raises(StoreError, match="held by another process"):
            erase()
        assert store.count("ann") == 4
    with open_store(store.directory):
        assert not contrasts(store, "bob").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8, torch.bool])
def test_rows_of_vectors_go_and_the_others_keep_their_bits(store, dtype):
    tensors = {
        "b": torch.randn(4, 3, 2).to(dtype),
        "a": torch.arange(4).to(dtype),
        "none wide": torch.zeros(4, 0, dtype=dtype),
    }
    path = store.user_dir("banks", "bob") / "fints.safetensors"
    sources = [[source_of("bob", f"bob{n}"), source_of(name, f"{name}0")] for n, name in enumerate(USERS)]
    save_rows(path, tensors, sources, {"model": "tiny"})
    other = store.user_dir("banks", "cem") / "fints.safetensors"
    save_rows(other, {"a": torch.zeros(1)}, [[source_of("ann", "ann0")]])
    store.forget("ann")
    read, left, metadata = read_rows(path)
    assert all(torch.equal(read[name], tensors[name][1:]) for name in tensors)
    assert {name: tensor.dtype for name, tensor in read.items()} == dict.fromkeys(tensors, dtype)
    assert left == sources[1:]
    assert metadata == {"model": "tiny"}
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    assert not other.exists()  # its only row


def test_vectors_that_cant_be_parted_go_as_a_whole(store):
    path = store.user_dir("banks", "bob") / "fints.safetensors"
    metadata = {"sources": json.dumps([[str(source_of("ann", "ann0"))], []])}
    path.parent.mkdir(parents=True)
    save_file({"codes": torch.zeros(2, 4), "basis": torch.zeros(4, 8)}, path, metadata)
    store.forget_record("ann", "ann1")
    assert path.exists()
    store.forget_record("ann", "ann0")
    assert not path.exists()


def test_files_of_other_kinds_are_left_alone(store):
    folder = store.user_dir("memories", "bob")
    folder.mkdir(parents=True)
    ann = str(source_of("ann", "ann0"))
    files = {
        "notes.jsonl": f'{{"text": "{ann}"}}\nno line end'.encode(),
        "cut.safetensors": b"\xff" * 7,
        "huge.safetensors": b"\xff" * 30,
        "odd.safetensors": (40).to_bytes(8, "little") + b'{"sources": 1, "x": "' + ann.encode() + b'"',
        "readme.txt": ann.encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    save_file({"a": torch.ones(2)}, folder / "plain.safetensors", {"note": f"sources {ann}"})
    assert store.forget("ann").derived == 0
    assert {name: (folder / name).read_bytes() for name in files} == files
    assert load_file(folder / "plain.safetensors")["a"].tolist() == [1, 1]


def test_rows_that_cant_be_read_go(store):
    path = contrasts(store, "bob")
    ann = source_of("ann", "ann0")
    good = row("bob", 0, [])
    path.parent.mkdir(parents=True)
    bad = ['{"sources": ["odd"], "x": 1}', '{"sources": 3}', f'{{"sources": [], "broken": {ann}']
    torn = f'{{"sources": [], "text": "{record("ann", 0).text}'
    path.write_text("\n".join([good, *bad, row("bob", 1, [("ann", 0)]), torn]))
    (path.parent / "other.jsonl.part").write_text(record("ann", 0).text)
    store.forget_record("ann", "ann0")
    assert path.read_text() == good + "\n"
    assert [file.name for file in path.parent.iterdir()] == ["contrasts.jsonl"]


def test_a_torn_row_goes_even_where_nobody_is_named(store):
    path = contrasts(store, "bob")
    path.parent.mkdir(parents=True)
    path.write_text(row("bob", 0, []) + "\n" + '{"sources": [')
    store.forget("ann")
    assert path.read_text() == row("bob", 0, []) + "\n"


def test_aggregates_go_with_a_contributor_and_those_without_a_list_always(store):
    both = write_shared(store.directory, "p/both.bin", b"1", [source_of("ann"), source_of("bob")])
    single = write_shared(store.directory, "p/single.bin", b"2", [source_of("ann", "ann0"), source_of("cem")])
    cem = write_shared(store.directory, "cem.bin", b"3", [source_of("cem")])
    (store.directory / "shared" / "nobody knows.bin").write_bytes(b"4")
    broken = write_shared(store.directory, "broken.bin", b"5", [])
    sidecar_of(broken).write_text("{")
    (store.directory / "shared" / "left.bin.sources").write_text("[]")
    store.forget_record("ann", "ann1")
    shared = store.directory / "shared"
    assert {file.name for file in shared.rglob("*.bin*")} == {
        "single.bin", "single.bin.sources", "cem.bin", "cem.bin.sources"
    }  # fmt: skip
    assert not both.exists()
    store.forget_record("ann", "ann0")
    assert not single.exists()
    assert store.forget("bob").derived == 0
    assert store.forget("cem").derived == 1
    assert not cem.exists()
    assert not [file for file in shared.rglob("*") if file.is_file()]


def test_words_that_a_model_wrote_for_others_by_itself_are_no_remains(store):
    store.add("ann", [Record("Thank you very much!", id="thanks")])
    store.add("ann", [Record(words("common phrase", 9), id="phrase")])
    lines = [row("bob", 0, [("cem", 0)], f'"Thank you very much!" she said, and {words("common phrase", 9)}')]
    append_lines(contrasts(store, "bob"), lines)
    receipt = store.forget("ann")
    assert receipt.shared == 3
    assert contrasts(store, "bob").read_text().splitlines() == lines


@on_plain_text
def test_a_row_that_should_have_gone_is_found(store, open_store, monkeypatch):
    monkeypatch.setattr(erasure, "erase_derived", lambda directory, erased: 0)
    append_lines(contrasts(store, "bob"), [row("bob", 0, [("ann", 0)], record("ann", 0).text)])
    with pytest.raises(StoreError, match=r"still found in contrasts/[0-9a-f]{64}/contrasts\.jsonl"):
        store.forget("ann")
    monkeypatch.undo()
    assert list(store.directory.glob("erasing-*"))
    with open_store(store.directory):  # the next opening finishes
        assert not contrasts(store, "bob").exists()
        assert not list(store.directory.glob("erasing-*"))


@pytest.mark.parametrize("of", ["user", "record"])
def test_an_erasure_cut_off_before_derived_rows_went_is_finished_on_opening(store, open_store, monkeypatch, of):
    append_lines(contrasts(store, "bob"), [row("bob", 0, [("ann", 0)]), row("bob", 1, [("ann", 1)]), row("bob", 2, [])])
    shared = write_shared(store.directory, "p.bin", b"1", [source_of("ann")])

    def interrupted(directory, erased):
        raise KeyboardInterrupt

    monkeypatch.setattr(erasure, "erase_derived", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.forget("ann") if of == "user" else store.forget_record("ann", "ann0")
    monkeypatch.undo()
    assert shared.exists()
    with open_store(store.directory) as again:
        left = [json.loads(line)["record"] for line in contrasts(again, "bob").read_text().splitlines()]
        assert left == (["bob2"] if of == "user" else ["bob1", "bob2"])
        assert not shared.exists()
        assert not list(store.directory.glob("erasing-*"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(USERS),
            st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 3)), max_size=4),
        ),
        max_size=12,
    ),
    st.sampled_from(USERS),
    st.none() | st.integers(0, 3),
)
@settings(max_examples=25)
def test_what_is_left_is_what_would_be_there_without_the_donor(graph, erased, number):
    """Rows of a random graph of donors, as lines and as vectors; `number`: only that record of the user is erased."""
    folder = Path(tempfile.mkdtemp())
    try:
        lines = [(user, row(user, n, donors), donors, n) for n, (user, donors) in enumerate(graph)]
        for user in USERS:
            mine = [line for owner, line, _, _ in lines if owner == user]
            append_lines(contrasts_in(folder, user), mine)
            sources = [source_lists(line) for line in mine]
            numbers = torch.tensor([[n] for owner, _, _, n in lines if owner == user], dtype=torch.float32)
            if mine:
                save_rows(bank_in(folder, user), {"v": numbers}, sources)
        wanted = source_of(erased, "" if number is None else f"{erased}{number}")

        def goes(user, n, donors):
            everything = [(user, n), *donors]
            return any(name == erased and (number is None or place == number) for name, place in everything)

        count = erase_derived(folder, Erased([wanted]))
        assert count == 2 * sum(goes(user, n, donors) for user, _, donors, n in lines)
        for user in USERS:
            left = [(line, n) for owner, line, donors, n in lines if owner == user and not goes(owner, n, donors)]
            path = contrasts_in(folder, user)
            assert (path.read_text().splitlines() if path.exists() else []) == [line for line, _ in left]
            if left:
                tensors, sources, _ = read_rows(bank_in(folder, user))
                assert tensors["v"][:, 0].tolist() == [n for _, n in left]
                assert sources == [source_lists(line) for line, _ in left]
            else:
                assert not bank_in(folder, user).exists()
        assert erase_derived(folder, Erased([wanted])) == 0
    finally:
        shutil.rmtree(folder)


def contrasts_in(folder, user):
    return folder / "contrasts" / erasure.user_folder(user) / "contrasts.jsonl"


def bank_in(folder, user):
    return folder / "banks" / erasure.user_folder(user) / "fints.safetensors"


def source_lists(line):
    from penchant.store.erasure.lineage import parse_source

    return [parse_source(one) for one in json.loads(line)["sources"]]
