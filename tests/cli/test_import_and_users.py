"""`penchant import` and `penchant users`, as real processes and in this one."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
import typer

from penchant.cli.add import add
from penchant.cli.importing import import_command
from penchant.cli.output import run
from penchant.cli.users import users_app
from penchant.errors import PenchantError
from penchant.history.dialogue import Instruction, Turn
from penchant.history.records import Record
from penchant.store import Store

PROGRAM = """
import typer
from penchant.cli.importing import import_command
from penchant.cli.users import users_app
from penchant.cli.output import run
app = typer.Typer()
app.command("import")(import_command)
app.add_typer(users_app, name="users")
run(app)
"""


@pytest.fixture
def penchant(tmp_path, monkeypatch, capsys):
    """Runs a command line against a store of its own: (exit code, stdout, stderr)."""
    monkeypatch.setenv("PENCHANT_STORE", str(tmp_path / "store"))
    app = typer.Typer()
    app.command("import")(import_command)
    app.command("add")(add)
    app.add_typer(users_app, name="users")

    def invoke(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["penchant", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as left:
            run(app)
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return invoke


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "history.jsonl"
    lines = [{"text": f"text {i} ü\u2028", "when": f"2024-05-0{i}", "kind": "note", "id": str(i)} for i in (1, 2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_import_twice_then_list_show_export_import_forget(penchant, history, tmp_path):
    code, out, err = penchant("import", "jsonl", history, "--user", "ann", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document.pop("seconds") >= 0
    counts = {"added": 3, "unchanged": 0, "replaced": 0}
    assert document == {"format": "jsonl", "users": 1, **counts, "off_record": 0, "store": str(tmp_path / "store")}
    _, out, _ = penchant("import", "jsonl", history, "--user", "ann")
    assert out.startswith("0 added, 3 unchanged (1 user")

    code, out, err = penchant("users", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"users": [{"user": "ann", "records": 3}], "total": 1, "next": None}

    _, out, _ = penchant("users", "show", "ann", "--json")
    shown = json.loads(out)
    assert (shown["records"], shown["kinds"], shown["indexed"]) == (3, {"note": 3}, False)
    assert (shown["first"], shown["last"]) == ("2024-05-01T00:00:00+00:00", "2024-05-03T00:00:00+00:00")
    assert "records        3\n" in penchant("users", "show", "ann")[1]

    copy = tmp_path / "copy.jsonl"
    assert json.loads(penchant("users", "export", "ann", "--out", copy, "--json")[1])["records"] == 3
    assert penchant("users", "export", "ann")[1] == copy.read_text(encoding="utf-8")
    lines = copy.read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert json.loads(penchant("users", "export", "ann", "--json")[1])["records"] == list(map(json.loads, lines))
    assert json.loads(penchant("import", "jsonl", copy, "--user", "ann", "--json")[1])["unchanged"] == 3

    code, out, err = penchant("users", "forget", "ann", "--yes", "--json")
    assert code == 0
    assert json.loads(out)["receipt"]["records"] == 3
    assert json.loads(penchant("users", "--json")[1]) == {"users": [], "total": 0, "next": None}


def test_forget_asks_first(penchant, history):
    penchant("import", "jsonl", history, "--user", "ann")
    for answer in ("", "n\n", "what\n"):
        code, out, err = penchant("users", "forget", "ann", stdin=answer)
        assert (code, out) == (2, "")
        assert "Erase user 'ann' with 3 records" in err
        assert "nothing was erased" in err
    code, out, _ = penchant("users", "forget", "ann", stdin="y\n")
    assert code == 0
    assert "erased ann: 3 records, " in out
    assert " passages of the user's texts, of 8 words each: none is left\n" in out
    assert penchant("users", "forget", "ann", "--yes")[0] == 2


def test_conversations_are_shown_exported_and_counted(penchant, tmp_path):
    when = datetime(2025, 3, 1, 9, tzinfo=UTC)
    with Store(tmp_path / "store") as store:
        talks = store.conversations
        talks.open("ann", "trip", system="Be kind.", when=when)
        talks.add("ann", "trip", Turn(0, "user", "Answer in\nFrench. \x1b[31mWhere is [bold]Lyon?", when))
        talks.add("ann", "trip", Turn(1, "assistant", "En France.", when))
        talks.open("ann", "empty", when=when)
        ended = Instruction("2", "Rhyme.", ended=when, ended_by="user")
        talks.put(
            "ann",
            Instruction("1", "Answer in\nFrench.", "trip", 0),
            ended,
            Instruction("3", "No emoji.", scope="always"),
        )
    assert json.loads(penchant("users", "--json")[1])["users"] == [{"user": "ann", "records": 0}]
    out = penchant("users", "show", "ann")[1]
    assert "records        0\n" in out
    assert "conversations  2\ninstructions   2\n" in out
    assert "conversation trip: 2 turns, 2025-03-01 09:00, 'Answer in French. [31mWhere is [bold]Lyon?'\n" in out
    assert "conversation empty: 0 turns, 2025-03-01 09:00, ''\n" in out
    assert "instruction, conversation (trip): Answer in French.\ninstruction, always: No emoji.\n" in out
    document = json.loads(penchant("users", "show", "ann", "--json")[1])
    assert [(one["id"], one["turns"]) for one in document["conversations"]] == [("empty", 0), ("trip", 2)]
    assert [one["text"] for one in document["instructions"]] == ["Answer in\nFrench.", "No emoji."]
    assert penchant("users", "export", "ann")[1] == ""
    lines = penchant("users", "export", "ann", "--conversations")[1].split("\n")[:-1]
    assert [json.loads(line).get("role", "instruction") for line in lines] == [
        "system", "user", "assistant", "instruction", "instruction", "instruction"
    ]  # fmt: skip
    copy = tmp_path / "said.jsonl"
    assert "6 lines in" in penchant("users", "export", "ann", "--conversations", "--out", copy)[1]
    assert copy.read_text(encoding="utf-8").split("\n")[:-1] == lines
    as_json = json.loads(penchant("users", "export", "ann", "--conversations", "--json")[1])
    assert as_json["lines"] == list(map(json.loads, lines))
    code, out, err = penchant("users", "forget", "ann", stdin="y\n")
    assert (code, "Erase user 'ann' with 0 records and 2 conversations" in err) == (0, True)
    assert "erased ann: 0 records, 2 conversations with 2 turns, 3 instructions and " in out
    assert penchant("users", "export", "ann", "--conversations")[0] == 2


def test_users_are_paged_and_shown_as_they_are(penchant, tmp_path):
    with Store(tmp_path / "store") as store:
        store.add_many((f"[red]{i}", Record("text")) for i in range(5))
    first = json.loads(penchant("users", "--limit", "2", "--json")[1])
    assert (first["total"], first["next"]) == (5, "[red]1")
    rest = json.loads(penchant("users", "--after", first["next"], "--json")[1])
    assert [entry["user"] for entry in rest["users"]] == ["[red]2", "[red]3", "[red]4"]
    out = penchant("users", "--limit", "2")[1]
    assert "[red]0" in out
    assert "2 of 5 users; continue with `penchant users --limit 2 --after '[red]1'`" in out


def test_the_store_can_be_named_before_or_behind_the_subcommand(penchant, tmp_path):
    with Store(tmp_path / "other") as store:
        store.add("ann", [Record("text")])
    assert penchant("users", "show", "ann")[0] == 2
    assert penchant("users", "show", "ann", "--store", tmp_path / "other")[0] == 0
    code, out, _ = penchant("users", "--store", tmp_path / "other", "--json", "show", "ann")
    assert (code, json.loads(out)["records"]) == (0, 1)


def test_csv_options(penchant, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("review,who\nfine,ann\n,bob\n")
    options = ["-o", "text-column=review", "--option", "user_column=who", "-o", "skip_empty=true"]
    assert json.loads(penchant("import", "csv", path, *options, "--json")[1])["added"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "jsonl", "{history}"], "a history file belongs to one person: expected the id"),
        (["import", "word", "{history}", "--user", "u"], "no format 'word': expected one of jsonl"),
        (["import", "jsonl", "missing.jsonl", "--user", "u"], "can't be read: No such file"),
        (["import", "jsonl", "{history}", "--user", "u", "-o", "a=b"], "jsonl has no option 'a'"),
        (["import", "csv", "{history}", "-o", "skip_empty=perhaps"], "expected true or false"),
        (["import", "csv", "{history}", "-o", "nonsense"], "expected KEY=VALUE"),
        (
            ["import", "csv", "{history}", "--user", "u"],
            "has no column 'text' for the text: its columns are",
        ),
        (["import", "jsonl"], "Missing argument 'PATH'. See --help."),
        (["users", "show", "nobody"], "no user 'nobody' in the store"),
        (["users", "--limit", "0"], "a page of 0 users"),
        (["users", "erase", "x"], "No such command 'erase'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(penchant, history, tmp_path, arguments, message):
    Store(tmp_path / "store").close()
    code, out, err = penchant(*[argument.format(history=history) for argument in arguments])
    assert (code, out) == (2, "")
    assert err.startswith("penchant: ")
    assert err.count("\n") == 1
    assert message in err


def test_nothing_to_import_is_an_error(penchant, history):
    history.write_text("\n")
    code, _, err = penchant("import", "jsonl", history, "--user", "u")
    assert (code, "holds no records: expected at least one" in err) == (2, True)


def test_conflicting_content_needs_replace(penchant, history):
    penchant("import", "jsonl", history, "--user", "ann")
    history.write_text('{"text": "other", "id": "1"}\n')
    code, _, err = penchant("import", "jsonl", history, "--user", "ann")
    assert (code, "is already stored with other content" in err) == (2, True)
    assert json.loads(penchant("import", "jsonl", history, "--user", "ann", "--replace", "--json")[1])["replaced"] == 1


@pytest.mark.parametrize(("raised", "code"), [(PenchantError("went\nwrong"), 1), (KeyboardInterrupt(), 130)])
def test_exit_codes_of_other_errors(monkeypatch, capsys, raised, code):
    app = typer.Typer()

    @app.command()
    def fails():
        raise raised

    monkeypatch.setattr(sys, "argv", ["penchant"])
    with pytest.raises(SystemExit) as left:
        run(app)
    assert left.value.code == code
    err = capsys.readouterr().err
    assert err.startswith("penchant: ")
    assert err.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch):
    app = typer.Typer()

    @app.command()
    def fails():
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["penchant"])
    with pytest.raises(ZeroDivisionError):
        run(app)


def test_ctrl_c_in_the_middle_of_an_import_keeps_whole_batches(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    environment = {**os.environ, "PENCHANT_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", PROGRAM, "import", "jsonl", str(path), "--user", "ann", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    with path.open("w") as feed:
        for i in range(2_500):  # one batch and a half; then the import waits for more
            feed.write(json.dumps({"text": f"text {i}"}) + "\n")
        feed.flush()
        with Store(tmp_path / "store") as store:
            deadline = time.monotonic() + 60
            while store.count() == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (130, "")
            assert err == "penchant: interrupted; everything that was acknowledged is kept\n"
            assert store.count("ann") == 2_000


def test_output_is_utf_8_whatever_the_locale_and_a_closed_pipe_is_no_crash(tmp_path):
    with Store(tmp_path / "store") as store:
        store.add("ann", (Record(f"日本 {i} " + "word " * 50) for i in range(3_000)))
    environment = {**os.environ, "PENCHANT_STORE": str(tmp_path / "store"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", PROGRAM, "users", "export", "ann"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert "日本" in process.stdout.readline().decode("utf-8")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1


def test_one_record_is_added(penchant, tmp_path):
    code, out, _ = penchant("add", "The tuner is Ms Lind.", "--user", "kim")
    assert (code, "added; kim has 1 record in" in out) == (0, True)
    more = ("--when", "2026-05-01", "--label", "4.5", "--kind", "note", "--reply", "She is.", "--json")
    made = json.loads(penchant("add", "Is Ms Lind the tuner?", "--user", "kim", *more)[1])
    assert (made["user"], made["records"]) == ("kim", 2)
    with Store(tmp_path / "store") as store:
        by_id = {record.id: record for record in store.history("kim")}
    given = by_id[made["record"]]
    assert (given.text, given.reply, given.label, given.kind) == ("Is Ms Lind the tuner?", "She is.", 4.5, "note")
    assert given.when == datetime(2026, 5, 1, tzinfo=UTC)
    (other,) = [record for record in by_id.values() if record is not given]
    assert other.when is not None and abs(other.when - datetime.now(UTC)).total_seconds() < 600
    for wrong, message in ((("  ",), "no text"), (("x", "--when", "May"), "ISO 8601")):
        code, out, err = penchant("add", *wrong, "--user", "kim")
        assert (code, out, message in err) == (2, "", True)


@pytest.mark.parametrize("command", [(), ("show", "ann"), ("forget", "ann", "--yes"), ("export", "ann")])
def test_a_store_that_is_only_read_is_not_made(penchant, tmp_path, command):
    code, out, err = penchant("users", *command, "--store", tmp_path / "typo")
    assert (code, out, "there is no store in" in err) == (2, "", True)
    assert not (tmp_path / "typo").exists()
