"""`penchant mark`, `compress` and `ask`."""

import json
import os
import pty
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from penchant.compression.budget import count_tokens
from penchant.compression.registry import BUDGET_FLOOR
from penchant.models.loading import load_model
from penchant.store import Store
from tests.commands import REQUEST, TEXTS, Home, Invoke, finished, process, write_history

TINY = ("--model", "{model}", "--request", REQUEST)
SEGMENT = {"record", "start", "end", "text", "score"}
PROFILE = {"profile", "tokens", "budget", "history_tokens", "ratio", "shortening", "segments", "marker", "compressor",
           "fallback", "seconds"}  # fmt: skip
MARKS = {"segments", "marker", "heads", "layers_run", "history_tokens", "seconds"}


@pytest.fixture(params=["--history", "--user"])
def whose(request: pytest.FixtureRequest, tmp_path: Path, penchant: Invoke) -> tuple[str, str]:
    """The same history as a file, and as a user of the store."""
    path = write_history(tmp_path / "history.jsonl")
    if request.param == "--history":
        return "--history", str(path)
    assert penchant("import", "jsonl", path, "--user", "ann", "--json").document["added"] == 6
    return "--user", "ann"


def check_segments(segments: list[dict[str, Any]]) -> None:
    places = []
    for segment in segments:
        assert set(segment) == SEGMENT
        assert isinstance(segment["score"], float)
        place = int(segment["record"].removeprefix("r"))
        assert TEXTS[place][segment["start"] : segment["end"]] == segment["text"]
        places.append((place, segment["start"]))
    assert places == sorted(places)


@pytest.mark.parametrize("marker", ["fusion", "attention"])
def test_mark(penchant: Invoke, whose: tuple[str, str], marker: str, home: Home) -> None:
    ran = penchant("mark", *whose, *TINY, "--marker", marker, "--json")
    document = ran.document
    assert document.keys() >= MARKS
    assert ran.err == ""
    assert len(document["segments"]) >= len(TEXTS)
    check_segments(document["segments"])
    assert (document["marker"], document["heads"], document["layers_run"]) == (marker, [[1, 2], [2, 0]], 3)
    assert document["history_tokens"] == sum(count_tokens(load_model(home.model).tokenizer, text) for text in TEXTS)
    assert set(document["seconds"]) == {"encode", "mark"}


def test_compress(penchant: Invoke, whose: tuple[str, str], home: Home) -> None:
    ran = penchant("compress", *whose, *TINY, "--budget", "40", "--json")
    document = ran.document
    assert (document.keys() >= PROFILE, ran.err) == (True, "")
    assert 0 < document["tokens"] <= 40 == document["budget"]
    assert document["tokens"] == count_tokens(load_model(home.model).tokenizer, document["profile"])
    assert document["ratio"] == round(document["history_tokens"] / document["tokens"], 2)
    assert set(document["seconds"]) == {"encode", "mark", "compress"}
    check_segments(document["segments"])
    for segment in document["segments"]:
        assert segment["text"].strip()[:8] in document["profile"]
    text = penchant("compress", *whose, *TINY, "--budget", "40")
    assert text.out == document["profile"]  # the file has as many tokens as are printed
    assert "of 40 tokens" in text.err
    assert text.err.count(document["shortening"]) == 1


def test_a_budget_larger_than_the_history_says_so(penchant: Invoke, whose: tuple[str, str]) -> None:
    document = penchant("compress", *whose, *TINY, "--budget", "250%", "--json").document
    assert document["shortening"] == "not shorter: the budget is 250% of the history"
    assert len(document["segments"]) >= len(TEXTS)
    assert document["shortening"] in penchant("compress", *whose, *TINY, "--budget", "250%").err


def test_ask(penchant: Invoke, whose: tuple[str, str]) -> None:
    ran = penchant("ask", *whose, *TINY, "--budget", "30", "--max-tokens", "6", "--json")
    document = ran.document
    assert document.keys() >= {"answer", "profile", "steering", "seconds"}
    assert (document["steering"], document["knowledge"], document["dropped_records"]) == (None, "profile", 0)
    assert document["profile"].keys() >= PROFILE
    assert document["profile"]["tokens"] <= 30
    assert set(document["seconds"]) == {"encode", "mark", "compress", "answer"}
    spoken = penchant("ask", *whose, *TINY, "--budget", "30", "--max-tokens", "6")
    assert spoken.out.strip() == document["answer"]
    assert "based on" in spoken.err
    bare = penchant("ask", *whose, *TINY, "--no-profile", "--max-tokens", "6", "--json").document
    assert (bare["profile"], bare["knowledge"]) == (None, "none")
    assert bare["prompt_tokens"] < document["prompt_tokens"]
    full = penchant("ask", *whose, *TINY, "--full-history", "--max-tokens", "6", "--json").document
    assert (full["profile"], full["knowledge"], full["dropped_records"]) == (None, "full", 0)
    assert full["prompt_tokens"] > document["prompt_tokens"]


def test_a_full_history_that_does_not_fit_drops_the_oldest_and_says_so(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl", [f"{text} {i}" for i in range(10) for text in TEXTS])
    asked = ("ask", "--history", path, *TINY, "--full-history", "--max-tokens", "4")
    document = penchant(*asked, "--json").document
    assert 0 < document["dropped_records"] < 60
    assert document["prompt_tokens"] <= 512
    assert f"the {document['dropped_records']} oldest records didn't fit the window" in penchant(*asked).err


@pytest.mark.parametrize("marker", ["attn-gs", "bm25", "surprisal", "recency", "random"])
def test_every_marker_fills_the_documents(penchant: Invoke, tmp_path: Path, marker: str) -> None:
    path = write_history(tmp_path / "history.jsonl")
    document = penchant("mark", "--history", path, *TINY, "--marker", marker, "--json").document
    assert (document["marker"], document.keys() >= MARKS) == (marker, True)
    assert set(document["seconds"]) == {"encode", "mark"}
    assert document["history_tokens"] > 100
    document = penchant("compress", "--history", path, *TINY, "--marker", marker, "--budget", "25", "--json").document
    assert document["marker"] == marker
    assert document["tokens"] <= 25
    assert document["history_tokens"] > 100
    assert set(document["seconds"]) == {"encode", "mark", "compress"}


def test_mark_html_writes_a_page_with_every_record(penchant: Invoke, tmp_path: Path) -> None:
    history = write_history(tmp_path / "history.jsonl", [*TEXTS, "<script>alert(1)</script> & more"])
    page = tmp_path / "page.html"
    document = penchant("mark", "--history", history, *TINY, "--html", page, "--json").document
    assert document["html"] == str(page)
    text = page.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>")
    assert "bicycle is green" in text
    assert "<script>alert(1)" not in text
    human = penchant("mark", "--history", history, *TINY, "--html", page)
    assert "heat map: " in human.err
    assert "score" in human.out
    nowhere = penchant("mark", "--history", history, *TINY, "--html", tmp_path / "no" / "page.html")
    assert "expected a file in a folder that can be written" in nowhere.reason()


def test_a_second_request_feeds_its_own_tokens_and_a_new_record(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    asked = ("mark", "--history", path, *TINY, "--marker", "attention", "--json")
    cold, warm = penchant(*asked).document, penchant(*asked).document
    assert cold["tokens_fed"] == cold["history_tokens"] + warm["tokens_fed"]
    assert [s["score"] for s in cold["segments"]] == [s["score"] for s in warm["segments"]]
    other = write_history(tmp_path / "other.jsonl", ["Another person's history."])
    assert penchant(*(other if part == path else part for part in asked)).document["history_tokens"] < 30
    assert penchant(*asked).document["tokens_fed"] == warm["tokens_fed"]  # one index a file
    write_history(path, [*TEXTS, "One more walk, along the river."])
    grown = penchant(*asked).document
    new = grown["history_tokens"] - cold["history_tokens"]
    assert grown["tokens_fed"] == warm["tokens_fed"] + new > warm["tokens_fed"]


def test_dates_of_the_request_move_the_marks_and_are_named(penchant: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "dated.jsonl"
    rows = [{"text": f"Tea with friend {day}.", "when": f"2026-03-{day:02}"} for day in range(1, 29)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    asked = ("mark", "--history", path, "--model", "{model}", "--marker", "recency")
    asked += ("--request", "Who did I have tea with on 5 March 2026?")
    found = penchant(*asked, "--json").document
    day = {
        "text": "5 March 2026",
        "from": "2026-03-05T00:00:00+00:00",
        "to": "2026-03-06T00:00:00+00:00",
        "order": None,
    }
    assert found["dates"] == [day]
    best = max(found["segments"], key=lambda one: one["score"])
    assert best["text"] == "Tea with friend 5."
    assert "moved by “5 March 2026” (2026-03-05)" in penchant(*asked).err
    plain = penchant(*asked, "--no-dates", "--json").document
    assert (
        plain["dates"] == [] and max(plain["segments"], key=lambda one: one["score"])["text"] == "Tea with friend 28."
    )


def test_units(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    options = ("--marker", "bm25", "--json")
    records = penchant("mark", "--history", path, *TINY, "--unit", "record", *options).document["segments"]
    sentences = penchant("mark", "--history", path, *TINY, "--unit", "sentence", *options).document["segments"]
    assert [s["text"] for s in records] == list(TEXTS)
    assert [s["text"] for s in sentences if s["record"] == "r3"] == [
        "What should I read next?",
        "Something short, and not too sad.",
    ]


def test_rewriting_that_fails_falls_back_and_says_why(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl", TEXTS[:3])
    asked = ("compress", "--history", path, *TINY, "--compressor", "rewriting", "--budget", "30")
    document = penchant(*asked, "--json").document
    assert (document["compressor"], document["fallback"]) == ("rewriting", True)  # a random model writes nonsense
    assert document["reason"]
    assert document["tokens"] <= 30
    assert "extracted instead of rewritten: " in penchant(*asked).err


def test_faithfulness(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl", TEXTS[:3])
    asked = ("compress", "--history", path, *TINY, "--budget", "30", "--faithfulness")
    report = penchant(*asked, "--json").document["faithfulness"]
    assert report
    assert all(isinstance(value, int | float | str | bool | list | None) for value in report.values())
    assert report["share_kept"] == pytest.approx(1 - report["kl_profile"] / report["kl_none"])
    assert penchant(*asked).err.count("\n") >= 2


class Endpoint(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        type(self).asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        content = "I like long walks by the sea and I am allergic to peanuts."
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    Endpoint.asked = []
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_is_asked_for_the_model_that_was_named(penchant: Invoke, tmp_path: Path, endpoint: str) -> None:
    path = write_history(tmp_path / "history.jsonl", TEXTS[:1])
    remote = ("--compressor", "remote", "--endpoint", endpoint, "--endpoint-model", "some-model")
    document = penchant("compress", "--history", path, *TINY, *remote, "--budget", "60", "--json").document
    assert [asked["model"] for asked in Endpoint.asked] == ["some-model"]
    assert document["compressor"] == "remote"
    assert (document["fallback"], document["reason"]) == (False, None)
    assert document["profile"].startswith("I like long walks")
    ran = penchant("compress", "--history", path, *TINY, *remote[:4])
    assert "--endpoint-model NAME" in ran.reason()


def test_a_profile_in_a_file_is_verbatim(penchant: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = write_history(tmp_path / "history.jsonl", [" ".join(f"[word{i}]" for i in range(60))])
    arguments = ("compress", "--history", path, *TINY, "--marker", "bm25", "--budget", "200")
    assert penchant(*arguments).out == penchant(*arguments, "--json").document["profile"]
    shown = penchant("mark", *arguments[1:-2]).out.splitlines()
    assert len(shown) == 2 and "[word0] [word1]" in shown[1] and "[word59]" in shown[1]  # a heading and a record


def test_a_request_may_be_an_argument(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    own = ("--history", path, "--model", "{model}", "--marker", "bm25")
    as_option = penchant("mark", *own, "--request", REQUEST, "--json").document
    assert penchant("mark", REQUEST, *own, "--json").document["segments"] == as_option["segments"]
    for command in ("mark", "compress", "ask"):
        for given in ((), (REQUEST, "--request", REQUEST)):
            assert "expected one request" in penchant(command, *given, *own).reason()


def test_a_model_runs_where_it_is_told(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    asked = ("--history", path, *TINY, "--marker", "bm25", "--budget", "20")
    assert penchant("compress", *asked, "--device", "cpu", "--dtype", "bfloat16").code == 0
    assert "tpu9" in penchant("compress", *asked, "--device", "tpu9").reason()


def test_what_is_short_already_is_said_to_be(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl", ["A walk.", "A film."])
    ran = penchant("compress", "Which film?", "--history", path, "--model", "{model}", "--marker", "bm25")
    assert "A walk." in ran.out and "A film." in ran.out
    assert f"of {BUDGET_FLOOR} tokens" in ran.err and "not shorter: the budget is " in ran.err


def test_an_endpoint_is_for_the_remote_compressor(penchant: Invoke, tmp_path: Path) -> None:
    path = write_history(tmp_path / "history.jsonl")
    assert "--compressor remote" in penchant("compress", "--history", path, *TINY, "--endpoint", "http://x").reason()


def test_nothing_in_a_history_drives_the_terminal(penchant: Invoke, tmp_path: Path) -> None:
    text = "A walk\x1b[2J\x07 by the\x00 sea [bold]and[/bold] \x9b31m back."
    path = write_history(tmp_path / "history.jsonl", [text])
    for command in ("mark", "compress", "ask"):
        limits = ("--max-tokens", "2") if command == "ask" else ()
        budget = ("--budget", "400")
        ran = penchant(command, "--history", path, *TINY, *budget, *limits)
        assert ran.code == 0
        assert not set("\x1b\x07\x00\x9b") & set(ran.out + ran.err)
        assert "[bold]" in " ".join((ran.out + ran.err).split())
    segments = penchant("mark", "--history", path, *TINY, "--json").document["segments"]
    assert "".join(segment["text"] for segment in segments) in text  # the JSON is verbatim


@pytest.mark.slow
def test_on_a_terminal_the_answer_still_goes_to_stdout(home: Home, tmp_path: Path, penchant: Invoke) -> None:
    """A bar that is alive on stderr would catch the answer: `penchant ask ... > file` gave an empty file."""
    path = write_history(tmp_path / "history.jsonl")
    asked = ("ask", "--history", path, "--model", home.model, "--request", REQUEST, "--budget", "30")
    limits = ("--max-tokens", "6")
    ours, theirs = pty.openpty()
    running = process(home, *asked, *limits, stderr=theirs)
    os.close(theirs)
    seen = []

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                seen.append(part)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    ran = finished(running)
    reader.join()
    os.close(ours)
    assert ran.code == 0
    assert ran.out == penchant(*asked, *limits).out
    assert ran.out.strip()
    shown = b"".join(seen)
    assert b"Encoding records" in shown
    assert b"based on" in shown


def test_users_of_one_store_do_not_mix(penchant: Invoke, tmp_path: Path, home: Home) -> None:
    with Store(home.store):
        pass
    for user, texts in (("ann", TEXTS[:3]), ("bob", TEXTS[3:])):
        penchant("import", "jsonl", write_history(tmp_path / f"{user}.jsonl", texts), "--user", user)
    for user, texts in (("ann", TEXTS[:3]), ("bob", TEXTS[3:])):
        document = penchant("compress", "--user", user, *TINY, "--budget", "500", "--json").document
        assert all(segment["text"] in " ".join(texts) for segment in document["segments"])
        assert len({segment["record"] for segment in document["segments"]}) == 3
