"""Peers as methods: what they are sent and what is made of their answers."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import ModelError
from penchant.history.records import Request
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.methods.peer import Peers, check_peers, peer_names, split_prompt
from penchant_lab.peers.client import STAMP, find_peers
from tests.families import tiny
from tests.lab.methods.peer_cases import HISTORY, REAL, item, run

TOML = """
about = "A peer for tests."
kind = "{kind}"
[methods.plain]
about = "One cache for all questions."
options = {{ press = "snapkv" }}
[methods.aware]
about = "One for each."
options = {{ press = "snapkv" }}
aware = {aware}
"""
# Notes down what it is asked.
WORKER = """
import json, pathlib, sys
log = pathlib.Path(__file__).with_name("log.jsonl")
for line in sys.stdin:
    request = json.loads(line)
    with log.open("a") as file:
        file.write(line)
    if request["op"] == "compress":
        answer = {"text": " peanuts by the sea, and much more than was asked for ", "tokens_fed": 77, "seconds": 0.5}
        if request["question"] == "Nothing?":
            answer["text"] = "  "
    elif request["op"] == "read":
        given = request["continuations"]
        answer = {"nlls": [1.5] * len(given), "lengths": [len(c) for c in given], "ids": request["after"][:2]}
        answer |= {"kept_pairs": request["budget"], "stored_bytes": 4000, "prepare_seconds": 2.0, "read_seconds": 0.1}
        answer |= {"tokens_prepared": len(request["context"]), "tokens_read": 9}
    else:
        answer = {}
    print(json.dumps(answer), flush=True)
"""


def write_peer(folder: Path, kind: str) -> Path:
    path = folder / "noting"
    path.mkdir()
    (path / "peer.toml").write_text(TOML.format(kind=kind, aware=str(kind == "cache").lower()), encoding="utf-8")
    (path / "requirements.txt").write_text("", encoding="utf-8")
    (path / "worker.py").write_text(WORKER, encoding="utf-8")
    (path / ".venv").mkdir()
    python = find_peers(folder)["noting"].python
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (path / ".venv" / STAMP).write_text("", encoding="utf-8")
    return path / "log.jsonl"


def asked(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return tiny("llama")


@pytest.fixture
def text_peers(tmp_path: Path, loaded: LoadedModel) -> Iterator[tuple[Peers, Path]]:
    log = write_peer(tmp_path, "text")
    with Peers(loaded, 4, tmp_path) as peers:
        yield peers, log


@pytest.fixture
def cache_peers(tmp_path: Path, loaded: LoadedModel) -> Iterator[tuple[Peers, Path]]:
    log = write_peer(tmp_path, "cache")
    with Peers(loaded, 4, tmp_path) as peers:
        yield peers, log


def test_a_text_peer_gets_a_passage_a_record_and_what_it_gives_is_left_as_it_is(
    text_peers: tuple[Peers, Path], loaded: LoadedModel
) -> None:
    peers, log = text_peers
    (notes,), _ = run(peers.methods["plain"], (item(), 3))
    load, request = asked(log)
    assert load["op"] == "load"
    assert (load["dtype"], load["threads"]) == ("float32", torch.get_num_threads())
    assert request["passages"] == [lay_out(HISTORY, [piece]) for piece in segment(HISTORY, "record")]
    assert "(rating 4.5) I am allergic" in request["passages"][0]
    assert (request["question"], request["task"], request["budget"]) == ("What am I allergic to?", "", 3)
    assert request["press"] == "snapkv"  # the options of peer.toml
    assert notes.text == "peanuts by the sea, and much more than was asked for"
    assert notes.tokens == len(loaded.tokenizer(notes.text)["input_ids"]) > 3
    assert (notes.tokens_fed, notes.seconds, notes.reply, notes.segments) == (77, 0.5, None, None)


def test_blank_text_is_no_notes(text_peers: tuple[Peers, Path]) -> None:
    (notes,), _ = run(text_peers[0].methods["plain"], (item("Nothing?"), 3))
    assert (notes.text, notes.tokens) == (None, 0)


def test_the_model_is_written_once_for_the_workers_and_taken_away(text_peers: tuple[Peers, Path]) -> None:
    peers, log = text_peers
    assert not log.exists()  # nothing is started before it is asked
    run(peers.methods["plain"], (item(), 3))
    run(peers.methods["aware"], (item(), 3))
    loads = [one for one in asked(log) if one["op"] == "load"]
    assert len(loads) == 1
    assert os.path.isfile(Path(loads[0]["model"]) / "model.safetensors")  # noqa: PTH113
    peers.close()
    assert not Path(loads[0]["model"]).exists()


def test_a_cache_peer_reads_the_very_prompt_of_the_other_methods(
    cache_peers: tuple[Peers, Path], loaded: LoadedModel
) -> None:
    peers, log = cache_peers
    questions = (item(), item("When is the meeting?", answer="Tuesday", choices=("Monday", "Tuesday")))
    notes, stored = run(peers.methods["plain"], *((one, budget) for one in questions for budget in (6, 40)))
    reads = asked(log)[1:]
    text = lay_out(HISTORY, segment(HISTORY, "record"))
    for read, one in zip(reads, (questions[0], questions[0], questions[1], questions[1]), strict=True):
        prompt = render_chat(loaded, answer_messages(text, one.request))
        assert read["context"] + read["after"] == prompt_ids(loaded, prompt)
        assert read["context"] == reads[0]["context"]  # the same for every question
        assert loaded.tokenizer.decode(read["context"]).endswith("bring the report.")
        assert loaded.tokenizer.decode(read["after"]).endswith("<|assistant|>")
        assert read["max_new_tokens"] == 4
        wanted = one.choices or (one.answer,)
        assert read["continuations"] == [list(continuation_ids(loaded, answer)) for answer in wanted]
    assert [read["budget"] for read in reads] == [6, 40, 6, 40]
    assert [read["window"] for read in reads] == [3, 20, 3, 20]
    size = len(reads[0]["context"])
    assert [(one.tokens_fed, one.seconds) for one in notes] == [(size, 2.0), (size, 2.0), (0, 0.0), (0, 0.0)]
    assert [one.tokens for one in notes] == [6, 40, 6, 40]
    assert all(one.text is None and one.kept == 1 for one in notes)
    reply = notes[2].reply
    assert reply is not None
    assert reply.nlls == (1.5, 1.5)
    assert reply.lengths == tuple(map(len, reads[2]["continuations"]))
    assert reply.text == str(loaded.tokenizer.decode(reads[2]["after"][:2], skip_special_tokens=True)).strip()
    assert stored == 4000


def test_a_peer_that_sees_the_question_reads_all_of_it_for_each(
    cache_peers: tuple[Peers, Path], loaded: LoadedModel
) -> None:
    peers, log = cache_peers
    notes, stored = run(peers.methods["aware"], (item(), 6), (item(), 6))
    read = asked(log)[1]
    assert loaded.tokenizer.decode(read["context"]).endswith("What am I allergic to?")
    assert loaded.tokenizer.decode(read["after"]) == "<|turn_end|><|assistant|>"
    question = len(split_prompt(loaded, lay_out(HISTORY, segment(HISTORY, "record")), item().request).question)
    assert read["budget"] == 6 + question  # the question's own pairs come on top
    assert read["window"] == question
    assert [one.tokens for one in notes] == [6, 6]
    assert [one.tokens_fed for one in notes] == [len(read["context"])] * 2
    assert stored == 0


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("task", [None, "Write a title."])
def test_a_prompt_is_cut_behind_the_notes_and_behind_the_request(chat: bool, task: str | None) -> None:
    model = tiny("llama", chat=chat)
    notes, request = "8 May:\nI like 漢字 and 🥜.", Request("Which letters do I like?", task)
    parts = split_prompt(model, notes, request)
    decode = model.tokenizer.decode
    assert parts.notes + parts.question + parts.answer == prompt_ids(
        model, render_chat(model, answer_messages(notes, request))
    )
    assert decode(parts.notes).endswith(notes)
    assert decode(parts.question).strip() == (f"{task}\n\n" if task else "Question: ") + request.query
    assert decode(parts.answer) == ("<|turn_end|><|assistant|>" if chat else "\nAssistant:")


def test_what_a_peer_lacks_is_told_before_any_work(tmp_path: Path, loaded: LoadedModel) -> None:
    write_peer(tmp_path, "text")
    check_peers(["plain", "bm25"], tmp_path)
    with Peers(replace(loaded, device=torch.device("cuda")), 4, tmp_path) as peers:
        method = peers.methods["plain"]
        with pytest.raises(ModelError, match="peers run on the CPU"), method.open(HISTORY, (), 0):
            pass
    (tmp_path / "noting" / ".venv" / STAMP).unlink()
    with pytest.raises(ModelError, match=r"run `python -m penchant_lab\.peers noting`"):
        check_peers(["plain", "bm25"], tmp_path)
    check_peers(["bm25"], tmp_path)
    with Peers(loaded, 4, tmp_path) as peers:
        method = peers.methods["aware"]
        with pytest.raises(ModelError, match="no environment"), method.open(HISTORY, (), 0):
            pass


def test_the_peers_of_the_repository_are_described() -> None:
    names = peer_names(REAL)
    wanted = {"llmlingua", "longllmlingua", "snapkv", "tova", "expected-attention", "snapkv+question", "tova+question"}
    assert wanted <= names.keys()
    assert all(about.strip() for about in names.values())
    peers = find_peers(REAL)
    assert {name: peer.kind for peer in peers.values() for name in peer.methods}["snapkv"] == "cache"
    for peer in peers.values():
        pins = [line for line in (peer.path / "requirements.txt").read_text("utf-8").splitlines() if line[:1] != "#"]
        assert all("==" in pin for pin in pins)
        assert "torch==2.13.0" in pins
        source = (peer.path / "worker.py").read_text("utf-8")
        assert "import penchant" not in source
        assert "from penchant" not in source
