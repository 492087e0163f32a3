"""Peers as methods: what they are sent and what is made of their answers; the real ones where they are installed."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import ModelError
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt
from penchant_lab.bench.items import Item
from penchant_lab.methods.method import Method, Notes
from penchant_lab.methods.peer import Peers, check_peers, peer_names, save_plain, split_prompt
from penchant_lab.peers.client import STAMP, Peer, find_peers
from tests.families import tiny

REAL = Path(__file__).resolve().parents[3] / "src" / "penchant_lab" / "peers"
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
HISTORY = History(
    [
        Record("I am allergic to peanuts.", "r0", label=4.5),
        Record("She wrote three letters about the film.", "r1"),
        Record("The meeting is on Tuesday at ten, please bring the report.", "r2"),
    ],
    "ines",
)


def item(query: str = "What am I allergic to?", **given: Any) -> Item:
    return Item("i", HISTORY, Request(query), **{"answer": "peanuts", **given})


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


def run(method: Method, *items: tuple[Item, int]) -> tuple[list[Notes], int]:
    """The notes for each, and what is stored at the end."""
    with method.open(HISTORY, segment(HISTORY), 0) as session:
        return [session.notes(one, budget) for one, budget in items], session.stored_bytes()


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


# The real ones. Their environments are gigabytes: where they aren't made, what is checked is that this is said.


def ready(name: str) -> bool:
    """Whether the environment of a real peer is there; if not, the error has to name the command."""
    try:
        find_peers(REAL)[name].check()
    except ModelError as error:
        assert f"`python -m penchant_lab.peers {name}`" in str(error)
        return False
    return True


@pytest.mark.parametrize("family", ["llama", "gemma3", "qwen3"])
def test_an_uncut_cache_gives_the_plain_models_likelihood_and_answer(family: str) -> None:
    if not ready("kvpress"):
        return
    model = tiny(family)
    one = item(choices=("peanuts", "the sea and the wind"))
    text = lay_out(HISTORY, segment(HISTORY, "record"))
    prompt = prompt_ids(model, render_chat(model, answer_messages(text, one.request)))
    plain = Prompt(tuple(prompt), tuple(continuation_ids(model, answer) for answer in one.choices), 5)
    (expected,) = Answerer(model).read([plain])
    with Peers(model, 5, REAL) as peers:
        for name in ("snapkv", "tova", "expected-attention", "snapkv+question", "tova+question"):
            (whole, cut), _ = run(peers.methods[name], (one, 10_000), (one, 20))
            assert whole.reply is not None
            assert whole.reply.nlls == pytest.approx(expected.nlls, abs=1e-3)
            assert whole.reply.text == expected.text
            assert cut.reply is not None
            assert cut.reply.nlls != pytest.approx(expected.nlls, abs=1e-3)  # something was cut
            if family != "gemma3":  # whose sliding layers keep their window
                assert cut.tokens == 20


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_tokens_behind_a_cut_cache_see_the_same_together_as_one_by_one(family: str, tmp_path: Path) -> None:
    if not ready("kvpress"):
        return
    model = tiny(family)
    save_plain(model, tmp_path)
    ids = torch.randint(6, 300, (70,), generator=torch.Generator().manual_seed(0)).tolist()
    context, after, answer = ids[:50], ids[50:64], ids[64:]
    load = {"model": str(tmp_path), "dtype": "float32", "threads": 1}
    given = {"context": context, "max_new_tokens": 0, "end": [], "budget": 12, "window": 4}
    with Peer(find_peers(REAL)["kvpress"], load) as peer:
        for press in ("snapkv", "tova", "expected-attention"):
            together = peer.ask("read", after=after, continuations=[answer], press=press, **given)
            singly = [
                peer.ask("read", after=after + answer[:n], continuations=[[token]], press=press, **given)["nlls"][0]
                for n, token in enumerate(answer)
            ]
            early = peer.ask("read", after=after[:1], continuations=[after[1:] + answer], press=press, **given)
            rest = peer.ask("read", after=after[:1], continuations=[after[1:]], press=press, **given)
            assert together["nlls"][0] == pytest.approx(sum(singly), abs=1e-3)
            assert early["nlls"][0] - rest["nlls"][0] == pytest.approx(sum(singly), abs=1e-3)
        with pytest.raises(ModelError, match="no press 'knorm': expected one of snapkv"):
            peer.ask("read", after=after, continuations=[], press="knorm", **given)


@torch.inference_mode()
def _tova(model: LoadedModel, context: list[int], rest: list[int], budget: int) -> float:
    """NLL of all of `rest` but its first token behind a cache cut by TOVA's rule (the last token's attention, the same
    for every head, and itself), written anew from the paper, with each token at its own place."""
    model.model.set_attn_implementation("eager")
    cache = DynamicCache()
    out = model.model(input_ids=torch.tensor([context]), past_key_values=cache, output_attentions=True)
    for layer, attention in zip(cache.layers, out.attentions, strict=True):
        best = attention[0, :, -1, :-1].mean(0).topk(budget - 1).indices.sort().values
        kept = torch.cat([best, torch.tensor([len(context) - 1])])
        layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
    places = torch.arange(len(context), len(context) + len(rest) - 1)[None]
    logits = model.model(input_ids=torch.tensor([rest[:-1]]), past_key_values=cache, position_ids=places).logits[0]
    return -float(logits.log_softmax(-1).gather(1, torch.tensor(rest[1:])[:, None]).sum())


def test_what_is_read_behind_a_cut_cache_is_what_the_paper_says(tmp_path: Path) -> None:
    if not ready("kvpress"):
        return
    save_plain(tiny("llama"), tmp_path)
    ids = torch.randint(6, 300, (70,), generator=torch.Generator().manual_seed(1)).tolist()
    load = {"model": str(tmp_path), "dtype": "float32", "threads": 1}
    given = {"max_new_tokens": 0, "end": [], "press": "tova"}
    with Peer(find_peers(REAL)["kvpress"], load) as peer:
        for budget in (5, 30):
            answer = peer.ask(
                "read", context=ids[:50], after=ids[50:51], continuations=[ids[51:]], budget=budget, **given
            )
            assert answer["kept_pairs"] == budget
            assert answer["nlls"][0] == pytest.approx(_tova(tiny("llama"), ids[:50], ids[50:], budget), abs=1e-3)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_llmlingua_makes_a_shorter_text_without_the_question(family: str) -> None:
    if not ready("llmlingua"):
        return
    loaded = tiny(family)
    # Its windows are 200 tokens: of less it drops next to nothing.
    long = History([Record(f"{record.text} It was day {day}.") for day in range(9) for record in HISTORY], "ines")
    text = lay_out(long, segment(long, "record"))
    size = len(loaded.tokenizer(text)["input_ids"])
    with Peers(loaded, 0, REAL) as peers:
        for name in ("llmlingua", "longllmlingua"):
            with peers.methods[name].open(long, segment(long), 0) as session:
                notes = session.notes(item(), 60)
            assert notes.text
            assert "What am I allergic to?" not in notes.text
            assert 0 < notes.tokens < size / 2
            assert notes.tokens_fed > size
