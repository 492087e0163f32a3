"""The probe: what it reads, what it finds that patterns don't, and models it wasn't fitted on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.conversation.instructions import probe as probing
from penchant.conversation.instructions.patterns import patterns
from penchant.conversation.instructions.probe import Fitted, Probe, fitted_for, read, sites_of
from penchant.conversation.instructions.registry import make_detector
from penchant.errors import ModelError
from penchant.index.discovery import prefix_of
from penchant.marking.resources import Resources
from penchant.models.loading import LoadedModel
from tests.families import tiny

TURNS = ["I want all of your answers to begin with a question.", "My cat sleeps all day.", "Bitte nie Kommas!"]

LABELLED = Path(__file__).parents[3] / "src" / "penchant_lab" / "instructions"


def test_it_reads_the_mean_of_the_sentences_own_tokens() -> None:
    loaded = tiny("llama")
    sites = sites_of(loaded)
    got = np.concatenate(list(read(loaded, TURNS, sites, rows=2)))
    prefix = loaded.tokenizer(prefix_of(loaded))["input_ids"]
    for row, text in zip(got, TURNS, strict=True):
        own = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        states = loaded.base(input_ids=torch.tensor([prefix + own]), output_hidden_states=True).hidden_states
        means = [states[site.layer + 1][0, len(prefix) :].mean(0) for site in sites]
        np.testing.assert_allclose(row, torch.cat(means).detach().numpy(), rtol=1e-3, atol=1e-4)


def test_batches_and_neighbours_make_no_difference() -> None:
    loaded = tiny("gemma3")
    sites = sites_of(loaded)
    together = np.concatenate(list(read(loaded, TURNS, sites, rows=3)))
    alone = np.concatenate([next(read(loaded, [text], sites)) for text in TURNS])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("text", ["", " ", "\ud800", "a" * 5000, "<|user|>"])
def test_any_text_has_a_probability(text: str) -> None:
    loaded = tiny("llama")
    sites = sites_of(loaded)
    width = loaded.model.config.hidden_size * len(sites)
    probe = Probe(loaded, Fitted(sites, np.full(width, 0.01), 0.0, 0.5, 0.1))
    (found,) = probe.probabilities([text])
    assert 0 <= found <= 1
    assert probe([]) == []


def test_weights_of_another_size_are_refused() -> None:
    loaded = tiny("llama")
    with pytest.raises(ModelError, match="fit it on this model"):
        Probe(loaded, Fitted(sites_of(loaded), np.zeros(3), 0.0, 0.5, 0.1))


def test_a_model_without_a_fit_is_left_to_the_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = Resources(tiny("llama"))
    assert fitted_for(resources.loaded.fingerprint) is None
    detect, plain = make_detector("penchant", resources), patterns()
    for text in ("Call me Ruth.", *TURNS):
        assert detect(text, ()) == plain(text, ())


def test_a_damaged_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "probe.json"
    monkeypatch.setattr(probing, "FITTED", damaged)
    for text in ("{", '{"models": {"x": {"sites": ["ten"]}}}', '{"models": {"x": {}}}'):
        damaged.write_text(text)
        with pytest.raises(ModelError, match="install Penchant again") as error:
            fitted_for("x")
        assert "\n" not in str(error.value)


@pytest.mark.model
def test_requests_and_pasted_texts_are_hardly_ever_taken_for_instructions(smollm2: LoadedModel) -> None:
    """Turns by somebody who had seen neither patterns nor sets: every second, the others were looked at."""
    path = LABELLED / "requests.jsonl"
    turns = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()][1::4]
    detect = make_detector("penchant", Resources(smollm2))
    assert sum(bool(detect(text, ()).given) for text in turns) <= 0.1 * len(turns)
    probe = Probe(smollm2, fitted_for(smollm2.fingerprint) or pytest.fail("no fit"))
    rule, wish = "A crow promised the fox to always speak the truth.", "From now on always answer in French, please."
    assert all(patterns()(text, ()).given for text in (rule, wish))
    assert probe.possible([rule, wish]) == [False, True]


@pytest.mark.model
def test_it_finds_what_patterns_pass_over(smollm2: LoadedModel) -> None:
    """Turns by somebody who had seen neither patterns nor the set that the probe was fitted on."""
    lines = (LABELLED / "fresh.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    rows = [row for row in rows if row["language"] == "en"]
    resources = Resources(smollm2)
    said = np.array([bool(row["standing"]) for row in rows])
    recall, precision = {}, {}
    for name in ("patterns", "penchant"):
        detect = make_detector(name, resources)
        found = np.array([bool(detect(row["text"], ()).given) for row in rows])
        recall[name], precision[name] = found[said].mean(), said[found].mean()
    assert recall["penchant"] > recall["patterns"]
    assert recall["penchant"] > 0.75
    assert precision["penchant"] > 0.8
