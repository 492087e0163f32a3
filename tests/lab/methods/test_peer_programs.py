"""The real peers. Their environments are gigabytes: where they aren't made, what is checked is that this is said."""

from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import ModelError
from penchant.history.records import History, Record
from penchant.history.segmentation import segment
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant_lab.bench.answering import Answerer, Prompt
from penchant_lab.methods.peer import Peers, save_plain
from penchant_lab.peers.client import Peer, find_peers
from tests.families import tiny
from tests.lab.methods.peer_cases import HISTORY, REAL, item, run


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
