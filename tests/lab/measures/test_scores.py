import subprocess
import sys

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score, root_mean_squared_error

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures import scores
from penchant_lab.measures.scores import METRICS, check, normalised

HISTORY = History([Record("The kettle is new.")], "ann")


def _item(answer: str, category: str = "", references: tuple[str, ...] = (), **more: object) -> Item:
    return Item("i", HISTORY, Request("?"), answer, category=category, references=references, **more)  # type: ignore[arg-type]


def _score(name: str, prediction: str, item: Item) -> float:
    of_item = METRICS[name].of_item
    assert of_item is not None
    value = of_item(prediction, item)
    assert value is not None
    return value


def test_every_metric_is_a_mean_of_items_or_of_all() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert (metric.of_item is None) != (metric.of_all is None)
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == ["mae", "rmse"]


@pytest.mark.parametrize(
    ("prediction", "answer", "category", "expected"),
    [
        ("She was walking the dogs", "a dog walk", "4", 2 * 2 / (4 + 2)),  # she was walk dog / dog walk
        ("The, Kettle!", "kettle", "2", 1.0),
        ("tea and milk", "tea milk", "4", 1.0),  # "and" is dropped as well
        ("tea tea tea", "tea", "4", 2 * 1 / (3 + 1)),
        ("coffee", "tea", "4", 0.0),
        ("", "tea", "4", 0.0),
        ("Yes", "Yes; she said so", "3", 1.0),
        ("Yes", "Yes; she said so", "4", 2 * 1 / (1 + 4)),
        ("Paris, Rome", "Rome, Paris, Oslo", "1", 2 / 3),
        ("new Rome", "Rome, Paris", "1", (2 / 3 + 0) / 2),
        ("Paris, Rome", "Rome, Paris", "2", 1.0),
        ("That is not mentioned.", "tea", "5", 1.0),
        ("tea", "tea", "5", 0.0),
    ],
)
def test_locomo_f1_by_hand(prediction: str, answer: str, category: str, expected: float) -> None:
    assert _score("f1", prediction, _item(answer, category)) == pytest.approx(expected)


def test_the_best_reference_counts() -> None:
    item = _item("tea", references=("green coffee", "a green pot"))
    assert _score("f1", "green pot", item) == 1.0
    assert _score("em", "The green pot.", item) == 1.0
    assert _score("accuracy", " green coffee ", item) == 1.0
    assert _score("rouge1", "green coffee", item) == 1.0
    assert _score("meteor", "green coffee", item) == pytest.approx(1 - 0.5 * (1 / 2) ** 3)


def test_exact_match_and_accuracy_by_hand() -> None:
    assert normalised("The cat, and\n a Dog's  hat.") == "cat dogs hat"
    assert _score("em", "a Kettle!", _item("the kettle")) == 1.0
    assert _score("em", "kettle new", _item("new kettle")) == 0.0
    assert _score("accuracy", " [1]\n", _item("[1]")) == 1.0
    assert _score("accuracy", "[1].", _item("[1]")) == 0.0


def test_rouge_by_hand_and_without_stemming() -> None:
    item = _item("the cat sat on the mat")
    # 1: 3 of 3 words, 3 of 6; L: "on the" or "on cat" are in order, 2 of 3 and 2 of 6
    assert _score("rouge1", "on the cat", item) == pytest.approx(2 * 3 / (3 + 6))
    assert _score("rougeL", "on the cat", item) == pytest.approx(2 * 2 / (3 + 6))
    assert _score("rouge1", "cats", _item("cat")) == 0.0
    assert _score("rougeL", "", item) == 0.0


def test_rouge_as_the_library_has_it() -> None:
    text, true = "On mapping small sets, quickly", "Mapping of sets on small grids"
    library = RougeScorer(["rouge1", "rougeL"]).score(true, text)
    for name in ("rouge1", "rougeL"):
        assert _score(name, f"  {text}\n", _item(true)) == library[name].fmeasure > 0


def test_meteor_by_hand() -> None:
    # Four match, sits by its stem: 4 of 5 and 4 of 4, in two chunks ("the cat", "sits here").
    found = _score("meteor", "the cat quietly sits here", _item("the cat sitting here"))
    precision, recall = 4 / 5, 4 / 4
    fmean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert found == pytest.approx(fmean * (1 - 0.5 * (2 / 4) ** 3))
    assert _score("meteor", "", _item("the cat")) == 0.0
    # A full stop is a word of its own, also in the middle: all 6 match, in one chunk.
    assert _score("meteor", "Tea is. It was.", _item("Tea is. It was.")) == pytest.approx(1 - 0.5 * (1 / 6) ** 3)


def test_meteor_says_that_it_has_no_synonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "has_wordnet", lambda: False)
    assert METRICS["meteor"].described() == "METEOR (without synonyms: no WordNet data here)"
    assert _score("meteor", "car", _item("auto")) == 0.0
    monkeypatch.setattr(scores, "has_wordnet", lambda: True)
    assert METRICS["meteor"].described() == "METEOR"
    assert METRICS["rouge1"].described() == "ROUGE-1"


def test_meteor_takes_synonyms_from_wordnet_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lemma:
        def name(self) -> str:
            return "auto"

    class Synset:
        def lemmas(self) -> list[Lemma]:
            return [Lemma()]

    class Words:
        def synsets(self, word: str) -> list[Synset]:
            return [Synset()] if word == "car" else []

    import nltk.corpus

    monkeypatch.setattr(scores, "has_wordnet", lambda: True)
    monkeypatch.setattr(nltk.corpus, "wordnet", Words())
    assert _score("meteor", "car", _item("auto")) == pytest.approx(1 - 0.5)  # one match in one chunk


RNG = np.random.default_rng(3)
PREDICTED, TRUE = RNG.integers(0, 5, 40), RNG.integers(0, 5, 40)


def test_figures_of_all_by_hand() -> None:
    assert METRICS["mae"].overall([1, 4], [2, 2]) == 1.5
    assert METRICS["rmse"].overall([1, 4], [2, 2]) == pytest.approx(np.sqrt(2.5))
    assert METRICS["auc"].overall([0.2, 0.8, 0.8, 0.1], [0, 1, 0, 0]) == pytest.approx(2.5 / 3)
    # label 0: P 1/2, R 1, F 2/3; label 1: P 1, R 1/2, F 2/3; label 2: 0 of 1
    assert METRICS["f1_macro"].overall([0, 0, 1, 2], [0, 1, 1, 0]) == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert np.isnan(METRICS["auc"].overall([0.2, 0.8], [1, 1]))
    with pytest.raises(InputError, match="rouge1 is a mean over items"):
        METRICS["rouge1"].overall([1], [1])


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_figures_of_all_as_scikit_learn_has_them(seed: int | None) -> None:
    """Weights are how often each answer is drawn."""
    drawn = np.arange(40) if seed is None else np.random.default_rng(seed).integers(0, 40, 40)
    weights = np.stack([np.bincount(drawn, minlength=40), np.ones(40)]).astype(float)
    said, true = PREDICTED[drawn], TRUE[drawn]
    labels = np.union1d(PREDICTED, TRUE)
    expected = {
        "mae": mean_absolute_error(true, said),
        "rmse": root_mean_squared_error(true, said),
        "f1_macro": f1_score(true, said, average="macro", labels=labels, zero_division=0),
    }
    for name, value in expected.items():
        of_all = METRICS[name].of_all
        assert of_all is not None
        assert of_all(PREDICTED.astype(float), TRUE.astype(float), weights)[0] == pytest.approx(value)
    of_all = METRICS["auc"].of_all
    assert of_all is not None
    liked = (TRUE > 2).astype(float)
    found = of_all(PREDICTED.astype(float), liked, weights)
    assert found[0] == pytest.approx(roc_auc_score(liked[drawn], said))
    assert found[1] == pytest.approx(roc_auc_score(liked, PREDICTED))


def test_unknown_metrics_and_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check(METRICS)
    with pytest.raises(InputError, match=r"no metric 'bleu': expected one of accuracy, .*, em"):
        check(["rouge1", "bleu"])
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    monkeypatch.setitem(sys.modules, "nltk", None)
    for name, package in (("rougeL", "rouge-score"), ("meteor", "nltk")):
        with pytest.raises(InputError, match=rf"metric {name} needs {package}.*pip install 'penchant\[bench\]'"):
            check([name])
    check(["accuracy", "mae"])


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = ["matplotlib", "nltk", "rouge_score", "sklearn"]
    code = f"import sys, penchant_lab.measures.scores; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
