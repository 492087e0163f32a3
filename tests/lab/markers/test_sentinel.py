import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penchant.errors import InputError, ModelError
from penchant.history.records import History, Record, Request, Segment
from penchant.history.segmentation import segment
from penchant.inference.recurrence import recurrence
from penchant.lens.labelled import LabelledHistory, Question
from penchant.lens.lens import Lens
from penchant.lens.synthetic import needle_histories
from penchant_lab.markers import sentinel as module
from penchant_lab.markers.sentinel import (
    INSTRUCTION,
    QUESTION,
    SentinelProbe,
    fit_probe,
    fitted_probe,
    read_probe,
    save_probe,
    sentinel,
)
from tests.families import FAMILIES, WINDOW, tiny_tokenizer
from tests.index.cases import model_calls
from tests.lens.cases import eager_of, eager_rows, lens_of
from tests.marking.cases import halves, history_of, whole_records

pytestmark = pytest.mark.slow

HISTORY = history_of(["I like long walks.", "The film was sad, and long.", "Peanuts!", "She wrote three letters."])
ASKED = Request("What should I read?", task="Answer.")
SEEING = {"gemma3": (1, 3)}
"""Layers without a sliding window; mistral has none, and all of its are read."""


def ids_of(text: str) -> list[int]:
    ids: list[int] = tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]
    return ids


def end_of(asked: str) -> list[int]:
    return ids_of(QUESTION.format(asked=asked))


def probe_of(lens: Lens, layers: tuple[int, ...], block: int | None = None) -> SentinelProbe:
    rng = np.random.default_rng(len(layers))
    size = len(layers) * lens.loaded.num_heads
    weights, mean, scale = rng.normal(size=size), rng.uniform(0, 0.02, size), rng.uniform(0.01, 0.02, size)
    return SentinelProbe(
        lens.loaded.name,
        lens.loaded.fingerprint,
        layers,
        tuple(map(float, weights)),
        0.25,
        tuple(map(float, mean)),
        tuple(map(float, scale)),
        block,
    )


def by_eager(family: str, probe: SentinelProbe, segments: Sequence[Segment], asked: str) -> list[float]:
    """One joint pass of eager attention: last token at every head, renormalised inside the history, mean over each
    segment's tokens, logistic regression."""
    start, end = ids_of(INSTRUCTION), end_of(asked)
    pieces = [ids_of(s.text + "\n") for s in segments]
    ids = torch.tensor([start + [token for piece in pieces for token in piece] + end])
    rows = eager_rows(eager_of(family), ids)
    heads = torch.cat([rows[layer][0, :, -1] for layer in probe.layers])[:, len(start) : ids.shape[1] - len(end)]
    seen = heads.sum(1, keepdim=True)
    heads = torch.where(seen > 0, heads / seen, torch.zeros_like(heads)).double().numpy()
    at, found = 0, []
    for piece in pieces:
        feature = heads[:, at : at + len(piece)].mean(1)
        logit = sum((f - m) / s * w for f, m, s, w in zip(feature, probe.mean, probe.scale, probe.weights, strict=True))
        found.append(float(1 / (1 + np.exp(-(logit + probe.bias)))))
        at += len(piece)
    assert at == heads.shape[1]
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_marks_are_those_of_a_joint_eager_pass(family: str) -> None:
    lens = lens_of(family)
    layers = SEEING.get(family, (0, 1, 2, 3))
    probe = probe_of(lens, layers)
    segments = halves(HISTORY)
    marks = sentinel(lens, probe)(HISTORY, ASKED, segments)
    expected = by_eager(family, probe, segments, "Answer.\nWhat should I read?")
    np.testing.assert_allclose(marks.scores, expected, atol=1e-4)
    assert np.ptp(expected) > 0.1 or family == "mistral"  # its last token sees nothing of the history
    assert (marks.marker, marks.layers_run, marks.calibration) == ("sentinel", layers[-1] + 1, None)
    assert marks.heads == tuple((layer, head) for layer in layers for head in range(4))
    assert marks.history_tokens == sum(len(ids_of(s.text + "\n")) for s in segments)


def test_a_long_history_is_read_in_passes_for_every_request_anew() -> None:
    lens = lens_of("llama")
    probe = probe_of(lens, (0, 1, 2, 3))
    history = history_of([f"Record {i} about the sea and a film." for i in range(80)])
    segments = whole_records(history)
    marker = sentinel(lens, probe)
    recurrence(lens.loaded)  # measured once, by passes of its own
    with model_calls(lens) as calls:
        marks = marker(history, Request("What?"), segments)
    with model_calls(lens) as again:
        assert marker(history, Request("What?"), segments).tokens_fed == marks.tokens_fed
    assert sum(again) == sum(calls) == marks.tokens_fed
    assert marks.history_tokens > 2 * WINDOW
    room = WINDOW - len(ids_of(INSTRUCTION)) - -(-len(end_of("What?")) // 64) * 64
    groups: list[list[Segment]] = [[]]
    used = 0
    for one in segments:
        size = len(ids_of(one.text + "\n"))
        if used + size > room:
            groups.append([])
            used = 0
        groups[-1].append(one)
        used += size
    expected = [score for group in groups for score in by_eager("llama", probe, group, "What?")]
    assert len(groups) > 2
    np.testing.assert_allclose(marks.scores, expected, atol=1e-4)
    smaller = sentinel(lens, replace(probe, block=400))(history, Request("What?"), segments)
    assert smaller.tokens_fed > marks.tokens_fed


def test_a_segment_in_several_passes_is_averaged_over_all_its_tokens() -> None:
    lens = lens_of("llama")
    history = history_of(["by the sea " * 200, "peanuts"])
    probe = probe_of(lens, (0, 1, 2, 3))
    marks = sentinel(lens, probe)(history, Request("What?"), whole_records(history))
    joint = module._joint(lens, Request("What?"), whole_records(history), None)
    tokens = [len(ids_of(text + "\n")) for text in ("by the sea " * 200, "peanuts")]
    assert marks.history_tokens == sum(tokens)
    caches = (module._cached(lens, joint, one, 3) for one in joint.passes)
    features = module._features(joint, (0, 1, 2, 3), caches, 4)
    # Each pass's shares sum to one, whatever they are divided among.
    np.testing.assert_allclose(features.T @ np.array(tokens), len(joint.passes), rtol=1e-4)
    assert len(joint.passes) > 1


def test_requests_of_about_one_length_see_the_same_passes() -> None:
    lens, segments = lens_of("llama"), whole_records(history_of(["a"] * 600))
    asked = ["Who" + "!" * more for more in range(0, 200, 8)]
    passes = [module._joint(lens, Request(text), segments, None).passes for text in asked]
    steps = [-(-len(end_of(text)) // 64) for text in asked]
    assert len(set(passes)) == len(set(steps)) > 1
    assert len(set(zip(passes, steps, strict=True))) == len(set(steps))


def labelled() -> list[LabelledHistory]:
    """Two histories with questions of short and long wording (which get different passes)."""
    found = []
    for one in needle_histories(2, 12, seed=3):
        long = [replace(q, request=Request(f"{q.request.query} {'Please! ' * 40}")) for q in one.questions[:1]]
        found.append(replace(one, questions=(*one.questions[:1], *long, *one.questions[1:2])))
    return found


def test_what_is_read_for_fitting_is_what_a_marker_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    lens = lens_of("llama")
    read = module._cached
    begun = []
    monkeypatch.setattr(module, "_cached", lambda *given: begun.append(given) or read(*given))
    layers = (0, 1, 2, 3)
    for one in labelled():
        segments = segment(one.history, "record")
        questions = list(one.questions)
        begun.clear()
        examples = list(module._examples(lens, one.history, questions, layers, block=None, unit="record"))
        count = len(begun)
        order = sorted(questions, key=lambda q: -(-len(end_of(q.request.query)) // 64))
        assert order != questions
        passes = []
        for question, (rows, positive) in zip(order, examples, strict=True):
            joint = module._joint(lens, question.request, segments, None)
            caches = (read(lens, joint, each, 3) for each in joint.passes)
            np.testing.assert_allclose(rows, module._features(joint, layers, caches, 4), atol=1e-7)
            assert [segments[i].record_id for i in np.flatnonzero(positive)] == list(question.evidence)
            passes.append(joint.passes)
        assert count == sum(map(len, set(passes)))  # once for requests of about one length
        assert count < sum(map(len, passes))


def test_the_probe_is_a_balanced_logistic_regression_of_standardised_features() -> None:
    lens = lens_of("gemma3")
    seen: list[tuple[int, int | None]] = []
    probe = fit_probe(lens, labelled(), progress=lambda step, done, total: seen.append((done, total)))
    assert seen == [(i + 1, 6) for i in range(6)]
    assert probe.layers == SEEING["gemma3"]
    x, y = [], []
    for one in labelled():
        for rows, positive in module._examples(
            lens, one.history, one.questions, probe.layers, block=None, unit="record"
        ):
            x.append(rows)
            y.append(positive)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=module.C, class_weight="balanced", max_iter=2000))
    theirs.fit(np.concatenate(x).astype(np.float64), np.concatenate(y))
    expected = theirs.predict_proba(np.concatenate(x).astype(np.float64))[:, 1]
    np.testing.assert_allclose(probe.probability(np.concatenate(x)), expected, atol=1e-3)
    assert np.ptp(expected) > 0.1
    one = labelled()[0]
    marks = sentinel(lens, probe)(one.history, one.questions[0].request, segment(one.history, "record"))
    np.testing.assert_allclose(marks.scores, probe.probability(x[0]), atol=1e-5)


def test_a_limit_draws_questions_by_seed() -> None:
    lens = lens_of("llama")
    data = labelled()[:1]
    first = fit_probe(lens, data, limit=1)
    assert first == fit_probe(lens, data, limit=1)
    assert len({fit_probe(lens, data, limit=1, seed=seed).weights for seed in range(4)}) > 1
    assert first.source.startswith("1 questions")


def test_a_probe_goes_to_a_file_and_back(tmp_path: Path) -> None:
    probe = probe_of(lens_of("llama"), (0, 3), block=200)
    path = tmp_path / "deep" / "probe.json"
    save_probe(probe, path)
    assert read_probe(path) == probe
    assert list(path.parent.iterdir()) == [path]
    document = json.loads(path.read_text(encoding="utf-8"))
    for broken in ("{", "[]", json.dumps({**document, "format": 99}), json.dumps({**document, "weights": "x"})):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ModelError, match=r"probe\.json isn't a Sentinel probe .*; delete it and fit one"):
            read_probe(path)


def test_a_probe_serves_its_own_model_only() -> None:
    probe = probe_of(lens_of("llama"), (0, 1))
    with pytest.raises(ModelError, match=r"fitted on tiny-llama \(8 heads\), not on tiny-qwen3"):
        sentinel(lens_of("qwen3"), probe)
    with pytest.raises(ModelError, match="7 heads"):
        sentinel(lens_of("llama"), replace(probe, weights=probe.weights[:-1]))


def test_a_fitted_probe_is_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lens, data = lens_of("llama"), labelled()
    probe = fitted_probe(lens, data, tmp_path, limit=1)
    fits: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "fit_probe", lambda lens, labelled, **options: fits.append(options) or probe)
    assert fitted_probe(lens, labelled(), tmp_path, limit=1) == probe
    assert not fits
    moved = replace(data[0].questions[0], evidence=(data[0].history[5].id,))
    told = History([*data[0].history.records[:-1], replace(data[0].history[-1], text="Something else.")])
    for changed in (
        [replace(one, questions=one.questions[:2]) for one in data],
        data[:1],
        [replace(data[0], questions=(moved, *data[0].questions[1:])), data[1]],
        [replace(data[0], questions=data[0].questions[::-1]), data[1]],
        [replace(data[0], history=told), data[1]],
    ):
        fitted_probe(lens, changed, tmp_path, limit=1)
    others: list[dict[str, Any]] = [{"limit": 2}, {"seed": 1}, {"block": 200}, {"unit": "sentence"}]
    for options in others:
        fitted_probe(lens, data, tmp_path, **{"limit": 1, **options})
        assert fits[-1].items() >= {"limit": 1, "seed": 0, "block": None, "unit": "record", **options}.items()
    fitted_probe(lens_of("qwen3"), data, tmp_path, limit=1)
    assert len(list(tmp_path.iterdir())) == len(fits) + 1 == 11
    monkeypatch.setenv("PENCHANT_CACHE", str(tmp_path / "cache"))
    fitted_probe(lens, data, limit=1)
    assert [path.suffix for path in (tmp_path / "cache" / "probes").iterdir()] == [".json"]


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"needs scikit-learn, .*pip install 'penchant\[bench\]'"):
        fit_probe(lens_of("llama"), labelled())


def test_nothing_to_fit_on_and_a_request_that_leaves_no_room() -> None:
    lens = lens_of("llama")
    with pytest.raises(InputError, match="0 questions with 0 evidence segments of 0"):
        fit_probe(lens, [])
    alone = LabelledHistory(history_of(["a film"]), (Question(Request("What?"), "a film", ("r0",)),))
    with pytest.raises(InputError, match="1 questions with 1 evidence segments of 1"):
        fit_probe(lens, [alone])
    marker = sentinel(lens, probe_of(lens, (0, 1)))
    with pytest.raises(InputError, match=r"the request has \d+ tokens, which leaves no room"):
        marker(HISTORY, Request("0" * 600), whole_records(HISTORY))


def test_small_and_odd_histories() -> None:
    lens = lens_of("gemma3")
    mark = sentinel(lens, probe_of(lens, (1, 3)))
    nothing = mark(History([]), ASKED, [])
    assert (nothing.scores.shape, nothing.history_tokens, nothing.tokens_fed) == ((0,), 0, 0)
    odd = History([Record("👩‍👩‍👧‍👦👍🏽"), Record("שלום עולם"), Record("nul \x00 nul"), Record("half \ud83d {asked}")])
    marks = mark(odd, Request("half \ud83d {asked}?"), segment(odd))
    assert np.isfinite(marks.scores).all()
    assert (marks.scores > 0).all()
    assert (marks.scores < 1).all()
