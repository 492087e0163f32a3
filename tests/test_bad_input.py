"""Bad input, end to end through the command line: one line that says what is wrong, exit code 2, nothing lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penchant import Store
from tests.commands import REQUEST, TEXTS, Home, Invoke, Ran, finished, process, write_history

ASKED = ("--request", REQUEST, "--model", "{model}")
COMMANDS = ("mark", "compress", "ask")


def short(command: str) -> tuple[str, ...]:
    return ("--max-tokens", "2") if command == "ask" else ()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return write_history(tmp_path / "history.jsonl")


def lines(tmp_path: Path, *raw: str | bytes) -> Path:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in raw))
    return path


def works(penchant: Invoke, path: Path, request: str = REQUEST) -> None:
    """All three commands do, on a history file, within the budget and the record's own text."""
    for command in COMMANDS:
        asked = (command, "--history", path, "--request", request, "--model", "{model}", *short(command))
        document = penchant(*asked, *(() if command == "mark" else ("--budget", "60")), "--json").document
        if command == "compress":
            assert document["tokens"] <= 60


GOOD = '{"text": "A walk."}'
BAD_FILES = [
    ((), "bad.jsonl is empty"),
    (("", "   "), "bad.jsonl is empty"),
    ((GOOD, '{"text": "A w'), "bad.jsonl line 2: invalid JSON"),
    ((GOOD, "", '["A walk."]'), "bad.jsonl line 3: invalid record (a JSON list)"),
    ((GOOD, '{"text": 5}'), "line 2: invalid record (text"),
    ((GOOD, '{"title": "x"}'), "line 2: invalid record"),
    ((GOOD, '{"text": "x", "when": "yesterday"}'), "line 2: invalid record (when"),
    ((GOOD, '{"text": "  "}'), "line 2: invalid record (a record has no text"),
    ((GOOD, b'{"text": "\xff"}'), "line 2: not UTF-8"),
    (('{"text": "A.", "id": "1"}', '{"text": "B.", "id": "1"}'), "line 2: the id '1' is already on line 1"),
]


@pytest.mark.parametrize(("raw", "message"), BAD_FILES)
def test_bad_history_files(penchant: Invoke, tmp_path: Path, raw: tuple[str | bytes, ...], message: str) -> None:
    path = lines(tmp_path, *raw)
    before = path.read_bytes()
    for command in COMMANDS:
        assert message in penchant(command, "--history", path, *ASKED).reason()
    assert path.read_bytes() == before


def test_a_bad_line_of_an_import_says_what_was_kept(penchant: Invoke, tmp_path: Path) -> None:
    assert penchant("import", "jsonl", write_history(tmp_path / "h.jsonl"), "--user", "ann", "--json").code == 0
    path = lines(tmp_path, GOOD, '{"text": "A w')
    assert "bad.jsonl line 2: invalid JSON" in penchant("import", "jsonl", path, "--user", "ann").reason()
    assert penchant("users", "show", "ann", "--json").document["records"] == len(TEXTS)


def test_csv_without_its_columns(penchant: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("review,stars\nA walk.,5\n")
    assert "no column 'text'" in penchant("import", "csv", path, "--user", "ann").reason()
    assert (
        "no column 'score'"
        in penchant(
            "import", "csv", path, "--user", "ann", "-o", "text_column=review", "-o", "label_column=score"
        ).reason()
    )
    assert "no user 'ann'" in penchant("mark", "--user", "ann", *ASKED).reason()


@pytest.mark.parametrize(
    "text",
    [
        "A walk.",
        "?",
        "🙂🏳️‍🌈👨‍👩‍👧 🧗🏽 — 日本語のテキスト。",
        "אני אלרגי לבוטנים \u200f(מאוד). مرحبا بالعالم",
        "A\x00walk\x00\x00 by the sea.\x00",
        "\u202eevil\u202c \ufeff text\u2028 with odd spaces \u00a0",
        "e\u0301" * 50,
    ],
    ids=["plain", "one token", "emoji", "right to left", "nul", "spaces", "combining"],
)
def test_one_record_of_any_text(penchant: Invoke, tmp_path: Path, text: str) -> None:
    path = lines(tmp_path, json.dumps({"text": text}))
    works(penchant, path, request="Wo? 🙂 שלום")
    segments = penchant("mark", "--history", path, *ASKED, "--json").document["segments"]
    assert all(segment["text"] == text[segment["start"] : segment["end"]] for segment in segments)
    assert "".join("".join(segment["text"].split()) for segment in segments) == "".join(text.split())
    assert penchant("import", "jsonl", path, "--user", "ann", "--json").code == 0
    assert penchant("compress", "--user", "ann", *ASKED, "--budget", "30", "--json").document["tokens"] <= 30
    (kept,) = penchant("users", "export", "ann", "--json").document["records"]
    assert kept["text"] == text


def test_half_a_character_is_replaced(penchant: Invoke, tmp_path: Path) -> None:
    works(penchant, lines(tmp_path, '{"text": "A walk \\ud83d by the sea."}'))


@pytest.mark.slow
def test_a_record_of_a_hundred_thousand_characters(penchant: Invoke, tmp_path: Path) -> None:
    words = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(2_000)]
    long = " ".join([*words, "The key lies under the blue flowerpot."])[-100_000:]
    assert len(long) == 100_000
    path = lines(tmp_path, json.dumps({"text": long, "id": "long"}), json.dumps({"text": "x" * 20_000, "id": "x"}))
    asked = ("--history", path, "--request", "Where is the flowerpot?", "--model", "{model}")
    document = penchant("compress", *asked, "--budget", "80", "--json").document
    assert document["tokens"] <= 80
    assert document["history_tokens"] > 30_000
    assert "flowerpot" in document["profile"]
    full = penchant("ask", *asked, "--full-history", "--max-tokens", "2", "--json").document
    assert full["dropped_records"] == 2  # neither fits the window of 512; the question is answered all the same


@pytest.mark.parametrize("user", ["nobody", "", "a\nb", "x" * 1_001])
def test_unknown_users(penchant: Invoke, home: Home, user: str) -> None:
    Store(home.store).close()
    for command in COMMANDS:
        reason = penchant(command, "--user", user, *ASKED).reason()
        assert "no user 'nobody' in the store" in reason or "can't be used" in reason


def test_a_history_and_a_user_exclude_each_other(penchant: Invoke, history: Path) -> None:
    for given in ((), ("--user", "ann", "--history", history)):
        assert "expected exactly one of --user ID" in penchant("mark", *given, *ASKED).reason()
    both = ("--no-profile", "--full-history")
    assert "exclude each other" in penchant("ask", "--history", history, *ASKED, *both).reason()


@pytest.mark.parametrize("budget", ["0", "-1", "abc", "0%", "-2%", "nan%", "1e3", "", "%"])
def test_budgets_that_are_none(penchant: Invoke, history: Path, budget: str) -> None:
    for command in ("compress", "ask"):
        reason = penchant(command, "--history", history, *ASKED, f"--budget={budget}").reason()
        assert f"budget '{budget}' is" in reason
        assert "expected" in reason


@pytest.mark.parametrize("budget", ["1", "2", "1%", "100%", "5000", "1000%", str(10**25), "1e300%"])
def test_budgets_at_the_edges(penchant: Invoke, history: Path, budget: str) -> None:
    document = penchant("compress", "--history", history, *ASKED, "--budget", budget, "--json").document
    assert document["tokens"] <= document["budget"]
    if document["budget"] > document["history_tokens"] * 2:
        assert all(text in document["profile"] for text in TEXTS)  # all of it, and no more
        assert len(document["segments"]) >= len(TEXTS)


def test_requests_that_are_none_or_too_long(penchant: Invoke, history: Path) -> None:
    for command in COMMANDS:
        asked = (command, "--history", history, "--model", "{model}", "--request")
        for empty in ("", "  \n "):
            assert "the request is empty" in penchant(*asked, empty).reason()
        reason = penchant(*asked, "a very long request " * 300).reason()
        assert "the request has" in reason
        assert "expected 1 to 511 for tiny-llama" in reason
    for knowledge in ("--no-profile", "--full-history"):
        asked = ("ask", "--history", history, "--model", "{model}", knowledge, "--request", "a long request " * 300)
        assert "the window of tiny-llama is 512" in penchant(*asked).reason()


def test_a_profile_that_does_not_fit_the_window(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "long.jsonl", TEXTS * 8)
    reason = penchant("ask", "--history", path, *ASKED, "--budget", "100%").reason()
    assert "the window of tiny-llama is 512: shorten it or lower the budget" in reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--marker", "atention"), "no marker 'atention': expected one of fusion"),
        (("--compressor", "zip"), "no compressor 'zip': expected one of extractive"),
        (("--compressor", "remote"), "expected --endpoint URL and --endpoint-model NAME"),
        (("--unit", "word"), "'word'"),
        (("--model", "{tmp}/none"), "does not exist: expected a model directory"),
        (("--model", "{tmp}/file.gguf"), "file.gguf"),
        (("--history", "{tmp}/none.jsonl"), "can't be read: No such file"),
        (("--history", "{tmp}"), "can't be read: Is a directory"),
        (("--store", "{tmp}/file.gguf", "--user", "ann"), "expected exactly one of"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_bad_options(penchant: Invoke, history: Path, tmp_path: Path, options: tuple[str, str], message: str) -> None:
    (tmp_path / "file.gguf").write_text("this is no model")
    filled = [option.replace("{tmp}", str(tmp_path)) for option in options]
    assert message in penchant("compress", "--history", history, *ASKED, *filled).reason()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("model.safetensors", "has no weights: expected model.safetensors"),
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_model_directories_that_lack_a_part(
    penchant: Invoke, home: Home, history: Path, gone: str, message: str
) -> None:
    broken = shutil.copytree(home.model, history.parent / "broken")
    (broken / gone).unlink()
    for command in COMMANDS:
        asked = (command, "--history", history, "--request", REQUEST, "--model", broken)
        assert message in penchant(*asked).reason()


def test_a_store_in_a_file(penchant: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no store")
    assert "expected a folder" in penchant("mark", "--user", "ann", "--store", tmp_path / "file", *ASKED).reason()


def keys_of(home: Home) -> list[Path]:
    """The files with keys of a history, and what is left of them; the neutral query lies one folder deeper."""
    return list(home.cache.glob("indexes/*/*/*.safetensors*"))


@pytest.mark.parametrize("damage", ["cut", "flipped", "manifest"])
def test_a_corrupt_index_is_rebuilt_and_said(penchant: Invoke, home: Home, history: Path, damage: str) -> None:
    asked = ("mark", "--history", history, *ASKED, "--marker", "attention", "--json")
    whole = penchant(*asked).document
    (chunk,) = keys_of(home)
    content = bytearray(chunk.read_bytes())
    if damage == "cut":
        chunk.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 0x10
        chunk.write_bytes(content)
    else:
        (chunk.parent / "manifest.json").write_text('{"format": 1, "chunks')
    ran = penchant(*asked)
    assert "rebuilding it" in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    rebuilt = ran.document
    assert rebuilt["tokens_fed"] == whole["tokens_fed"]
    assert rebuilt["segments"] == whole["segments"]
    healed = penchant(*asked)
    assert healed.err == ""
    assert healed.document["tokens_fed"] == whole["tokens_fed"] - whole["history_tokens"]


@pytest.mark.slow
def test_a_full_disk_costs_the_cache_not_the_answer(home: Home, history: Path, penchant: Invoke) -> None:
    """No file may grow beyond 4 KB: the index can't be written."""
    asked = ("ask", "--history", history, "--model", home.model, "--request", REQUEST, "--budget", "30")
    options = ("--marker", "attention", "--max-tokens", "4", "--json")
    ran = finished(process(home, *asked, *options, largest=4096))
    said = " ".join(ran.err.split())
    assert "continuing in memory" in said
    assert "Traceback" not in said
    assert not keys_of(home)
    later = penchant(*asked, *options)
    assert ran.document["answer"] == later.document["answer"]
    assert ran.document["profile"]["profile"] == later.document["profile"]["profile"]
    assert keys_of(home)


def test_a_cache_that_is_no_folder_costs_the_cache_not_the_answer(penchant: Invoke, home: Home, history: Path) -> None:
    (home.cache / "indexes").write_text("in the way")
    ran = penchant("compress", "--history", history, *ASKED, "--budget", "30", "--json")
    assert ran.document["profile"]
    assert "continuing in memory" in " ".join(ran.err.split())


@pytest.mark.slow
def test_two_processes_write_one_store(home: Home, tmp_path: Path, penchant: Invoke) -> None:
    running = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"id": f"{name}{i}", "text": f"{name} {i}"}) + "\n" for i in range(3_000)))
        running.append(process(home, "import", "jsonl", path, "--user", "ann", "--json"))
    added = [finished(one).document["added"] for one in running]
    assert added == [3_000, 3_000]
    assert penchant("users", "show", "ann", "--json").document["records"] == 6_000


def test_an_index_is_never_used_for_another_user_of_the_same_file_name(
    penchant: Invoke, home: Home, tmp_path: Path
) -> None:
    """A history file that was replaced by another one: nothing of the old one comes back."""
    path = write_history(tmp_path / "history.jsonl", ["The password is marzipan.", "A second secret."])
    asked = ("compress", "--history", path, *ASKED, "--budget", "100", "--json")
    assert "marzipan" in penchant(*asked).document["profile"]
    write_history(path, ["A walk.", "A film."])
    assert "marzipan" not in json.dumps(penchant(*asked).document)


def test_stored_data_survives_every_error(penchant: Invoke, history: Path, home: Home) -> None:
    assert penchant("import", "jsonl", history, "--user", "ann", "--json").document["added"] == len(TEXTS)
    before = penchant("users", "export", "ann").out
    bad: list[Ran] = [
        penchant("compress", "--user", "ann", *ASKED, "--budget", "0"),
        penchant("ask", "--user", "ann", *ASKED, "--marker", "none"),
        penchant("mark", "--user", "ann", "--request", "", "--model", "{model}"),
        penchant("import", "jsonl", history.parent / "none.jsonl", "--user", "ann"),
        penchant("users", "forget", "ann"),
    ]
    assert [ran.code for ran in bad] == [2] * len(bad)
    assert penchant("users", "export", "ann").out == before
    with Store(home.store) as store:
        assert store.count() == 1
