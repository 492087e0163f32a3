"""Head discovery: on a model that was built so that one known head retrieves, and on the embedded model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.index.attention import AttentionIndex
from penchant.index.discovery import Discovery, discover, prefix_of, whole_records
from penchant.index.encode import Encoder
from penchant.lens.conditional_logit import area_under_curve
from penchant.lens.labelled import LabelledHistory, Question
from penchant.lens.lens import Lens
from penchant.lens.synthetic import needle_histories
from penchant.models.loading import LoadedModel, wrap_model
from tests.families import tiny, tiny_network, tiny_tokenizer

RETRIEVER = (0, 2)
KNOWN = {(15, 6), (18, 6), (18, 7), (15, 7)}
"""Heads of the embedded model that retrieve, as measured on LoCoMo."""


def retriever() -> Lens:
    """A random model whose head 0.2 attends to the tokens that are the same as its own.

    Its queries and keys are one and the same projection of the embeddings, in the dimensions that the rotation hardly
    turns over the length of a record.
    """
    model = tiny_network("llama", seed=3)
    layer = model.model.layers[0]
    rng = torch.Generator().manual_seed(1)
    dim, (_, head) = 16, RETRIEVER
    projection = torch.zeros(dim, 64)
    projection[[4, 5, 6, 7, 12, 13, 14, 15]] = 0.2 * torch.randn(8, 64, generator=rng)
    with torch.no_grad():
        layer.input_layernorm.weight.fill_(1.0)
        layer.self_attn.q_proj.weight[head * dim : (head + 1) * dim] = projection
        layer.self_attn.k_proj.weight[head // 2 * dim : (head // 2 + 1) * dim] = projection
    return Lens(wrap_model(model, tiny_tokenizer(True), "retriever"))


def worded(count: int = 3, records: int = 24) -> list[LabelledHistory]:
    """Records of random letters; a question says two thirds of the letters of its evidence, in another order."""
    rng = np.random.default_rng(0)
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")  # none of which the tokenizer joins
    out = []
    for number in range(count):
        said = [list(rng.choice(letters, 9, replace=False)) for _ in range(records)]
        history = History([Record("".join(one), id=f"r{i}") for i, one in enumerate(said)], f"u{number}")
        questions = tuple(
            Question(Request("".join(rng.permutation(said[i])[:6])), "", (f"r{i}",)) for i in range(0, records, 2)
        )
        out.append(LabelledHistory(history, questions))
    return out


@pytest.fixture(scope="module")
def built() -> Lens:
    return retriever()


@pytest.fixture(scope="module")
def found(built: Lens) -> Discovery:
    return discover(built, worded(), prefix="<|user|>", source="letters")


def test_the_head_that_retrieves_is_found(found: Discovery) -> None:
    calibration, auc = found.calibration, found.auc
    assert auc[RETRIEVER] > 0.9
    assert np.nanargmax(auc) == RETRIEVER[0] * 4 + RETRIEVER[1]
    assert calibration.heads[0] == RETRIEVER
    assert max(calibration.weights) == calibration.weights[0] > 0
    assert calibration.scores["auc_left_out"] > 0.9


def test_a_head_alone_is_worth_what_an_index_of_it_alone_is_worth(built: Lens, found: Discovery) -> None:
    labelled = worded()
    for head in (RETRIEVER, (2, 1)):
        alone = dataclasses.replace(found.calibration, heads=(head,), weights=(1.0,))
        index = AttentionIndex(Encoder(built, alone))
        areas = []
        for one in labelled:
            ids = [record.id for record in one.history]
            for question in one.questions:
                scores, _ = index.score(one.history, whole_records(one), question.request.query)
                areas.append(area_under_curve(scores, [ids.index(name) for name in question.evidence]))
        assert np.mean(areas) == pytest.approx(found.auc[head], abs=0.01)


def test_what_is_reported(built: Lens, found: Discovery) -> None:
    calibration, loaded = found.calibration, built.loaded
    calibration.check(loaded)
    assert calibration.model_fingerprint == loaded.fingerprint
    assert calibration.prefix == "<|user|>"
    assert 1 <= len(calibration.heads) <= 6
    assert len(set(calibration.heads)) == len(calibration.heads)
    assert found.auc.shape == (loaded.num_layers, loaded.num_heads)
    assert np.isfinite(found.auc).all()
    scores = calibration.scores
    assert (scores["source"], scores["questions"]) == ("letters", 36)
    assert scores["auc_alone"] == {
        f"{layer}.{head}": round(float(found.auc[layer, head]), 4) for layer, head in calibration.heads
    }
    least = min(calibration.weights)
    assert len(calibration.heads) == 1 or least >= 0.08 * max(calibration.weights) - 1e-4


def test_limits_and_progress(built: Lens) -> None:
    seen: list[tuple[int, int | None]] = []
    labelled = worded(2, 8)
    found = discover(
        built,
        labelled,
        prefix="",
        max_layer=1,
        max_heads=2,
        progress=lambda step, done, total: seen.append((done, total)),
    )
    assert len(found.calibration.heads) <= 2
    assert found.calibration.last_layer <= 1
    assert np.isfinite(found.auc[:2]).all()
    assert np.isnan(found.auc[2:]).all()
    assert seen == [(i, 16) for i in range(1, 17)]
    assert discover(built, labelled, prefix="", max_layer=99).calibration.last_layer < built.loaded.num_layers


def test_the_best_heads_alone_are_the_candidates(built: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.index.discovery.CANDIDATES", 2)
    found = discover(built, worded(2), prefix="<|user|>")
    best = np.argsort(-found.auc, axis=None)[:2]
    assert set(found.calibration.heads) <= {(int(i) // 4, int(i) % 4) for i in best}
    assert RETRIEVER in found.calibration.heads


def test_it_is_deterministic_and_one_history_leaves_nothing_out(built: Lens) -> None:
    labelled = worded(1, 8)
    one, two = (discover(built, labelled, prefix="x", max_layer=0) for _ in range(2))
    assert one.calibration == two.calibration
    np.testing.assert_array_equal(one.auc, two.auc)
    assert one.calibration.scores["auc_left_out"] is None


def test_several_pieces_of_evidence(built: Lens) -> None:
    history = History([Record(text, id=text) for text in ("ABCDEF", "GHIJKL", "MNOPQR", "STUVWX", "012345", "6789YZ")])
    question = Question(Request("ABCMNO"), "", ("ABCDEF", "MNOPQR"))
    found = discover(built, [LabelledHistory(history, (question,))], prefix="<|user|>", max_layer=0)
    assert found.auc[RETRIEVER] == 1.0


def test_without_questions(built: Lens) -> None:
    history = worded(1)[0].history
    for labelled in ([], [LabelledHistory(history, ())]):
        with pytest.raises(InputError, match="no labelled questions: expected histories with evidence"):
            discover(built, labelled, prefix="")


def test_the_prefix_is_how_the_template_opens_a_turn() -> None:
    assert prefix_of(tiny("llama")) == "<|user|>"
    assert prefix_of(tiny("llama", chat=False)) == "Here is a conversation between two friends.\n"


@pytest.mark.model
def test_heads_of_the_embedded_model(smollm2: LoadedModel) -> None:
    """Without any labels by people: two small planted histories are enough to find heads that were found on LoCoMo."""
    assert prefix_of(smollm2) == "<|im_start|>user\n"
    found = discover(Lens(smollm2), needle_histories(2, 40), prefix=prefix_of(smollm2), max_layer=18, source="planted")
    heads = set(found.calibration.heads)
    assert heads & KNOWN
    assert found.calibration.scores["auc_left_out"] > 0.7
    # A random head has an AUC of about a half.
    assert max(found.auc[head] for head in heads & KNOWN) > np.nanmean(found.auc) + 0.2
    assert np.nanmean(found.auc) < 0.6
