"""Could a small learned classifier replace the cue tables? `python -m penchant_lab.instructions.learned`.

A logistic regression classifies each sentence of a turn by the chosen features: character and word n-grams, the
sentence encoder's embedding, the hidden states that the probe reads, and the cues of the tables in it. It is fitted on
the tuning turns and the probe's sentences; its threshold is the one with the best F1 in cross-validation (by turn; or
by language, which shows the result for a new language). Then the sets that nobody tuned on are measured once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.cli.output import run_and_exit
from penchant.conversation.instructions import probe as probing
from penchant.conversation.instructions.languages import CUES
from penchant.conversation.instructions.sentences import Sentence, sentences
from penchant.extras import require
from penchant.inference.sentence_encoder import embedder
from penchant.models.loading import load_model
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.instructions.labels import FRESH, HERE, PROBED, REQUESTS, SIXTH, Row, rows, spans
from penchant_lab.instructions.measuring import summary
from penchant_lab.model_options import add_model_options, parsed

UNSEEN = ("others", "last", "sixth", "requests")
FEATURES = ("ngrams", "ngrams+encoder", "hidden", "ngrams+hidden", "cues", "ngrams+hidden+cues")
STRENGTH = {"ngrams": 10.0, "encoder": 10.0, "hidden": 0.01, "cues": 1.0}
"""What each kind's features, of unit length or variance, are scaled by: the square root of it."""
FOLDS = 5
Floats = NDArray[np.float64]


class Data:
    """All sentences of all turns. turn: whose; true: whether it is part of an instruction."""

    def __init__(self, model: str) -> None:
        self.rows = [r for p in (HERE / "labelled.jsonl", FRESH, PROBED, REQUESTS, SIXTH) for r in rows(p)]
        found = [(n, one) for n, row in enumerate(self.rows) for one in sentences(row["text"])]
        self.turn = np.array([n for n, _ in found])
        self.sentences = [one for _, one in found]
        self.true = np.array([any(a < s.end and s.start < b for a, b in spans(self.rows[n])) for n, s in found])
        self.written = np.array([self.rows[n]["written"] for n in self.turn])
        self.language = np.array([self.rows[n]["language"] for n in self.turn])
        self.train = ~np.isin(self.written, UNSEEN)
        texts = [one.text for one in self.sentences]
        loaded, embed = load_model(model), embedder()
        self.dense = {
            "hidden": _in_order(
                texts, lambda some: next(probing.read(loaded, some, probing.sites_of(loaded), len(some)))
            ),
            "encoder": _in_order(texts, lambda some: embed(some)[0]),
            "cues": np.array([_cues(one) for one in self.sentences]),
        }

    def features(self, kinds: Sequence[str], fitted_on: NDArray[np.intp]) -> Any:
        """Sparse [sentences, features]; vocabulary and scales are of some sentences."""
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union
        from sklearn.preprocessing import StandardScaler

        parts = []
        for kind in kinds:
            if kind == "ngrams":
                some = make_union(
                    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
                    TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"\w+|[?!:]", min_df=2, sublinear_tf=True),
                )
                texts = [one.plain for one in self.sentences]
                some.fit([texts[n] for n in fitted_on])
                part = some.transform(texts)
            elif kind == "hidden":
                part = sparse.csr_matrix(StandardScaler().fit(self.dense[kind][fitted_on]).transform(self.dense[kind]))
            else:
                part = sparse.csr_matrix(self.dense[kind])
            parts.append(part * STRENGTH[kind] ** 0.5)
        return sparse.hstack(parts).tocsr()

    def probabilities(self, kinds: Sequence[str], fitted_on: NDArray[np.intp]) -> Floats:
        from sklearn.linear_model import LogisticRegression

        x = self.features(kinds, fitted_on)
        model = LogisticRegression(max_iter=3000).fit(x[fitted_on], self.true[fitted_on])
        return np.asarray(model.predict_proba(x)[:, 1])

    def cross_validated(self, kinds: Sequence[str], folds: NDArray[Any]) -> Floats:
        """Each training sentence by a fit without its fold."""
        out = np.zeros(len(self.true))
        for fold in np.unique(folds[self.train]):
            held = self.train & (folds == fold)
            out[held] = self.probabilities(kinds, np.flatnonzero(self.train & ~held))[held]
        return out

    def figures(self, probability: Floats, of: NDArray[np.bool_], threshold: float) -> Row:
        """Of turns: precision, recall and F1 with intervals."""
        turns = np.unique(self.turn[of])
        said = np.array([bool((probability[self.turn == n] >= threshold).any()) for n in turns])
        true = np.array([bool(self.rows[n]["standing"]) for n in turns])
        table = np.stack([said & true, said & ~true, ~said & true], axis=1).astype(int)
        whole = summary(np.concatenate([table, np.zeros((len(table), 4), int)], axis=1))
        return {**{k: v for k, v in whole.items() if "span" not in k}, "false alarms": int(table[:, 1].sum())}


def _in_order(texts: Sequence[str], read: Any, rows: int = 32) -> Floats:
    """What is read of texts in batches of like length, back in their order."""
    order = np.argsort([len(text) for text in texts])
    parts = [read([texts[n] for n in order[at : at + rows]]) for at in range(0, len(order), rows)]
    found = np.concatenate(parts)
    out = np.empty(found.shape)
    out[order] = found
    return out


def _cues(sentence: Sentence) -> list[float]:
    """Which fields of the tables have a match in a sentence; whether it asks."""
    found = [any(table.find(name, sentence.plain) for table in sentence.tables) for name in CUES]
    return [float(one) for one in (*found, sentence.asks)]


def measure(data: Data, name: str) -> Row:
    kinds, rng = name.split("+"), np.random.default_rng(0)
    by_turn = rng.permutation(len(data.rows))[data.turn] % FOLDS
    folded, across = data.cross_validated(kinds, by_turn), data.cross_validated(kinds, data.language)
    choices = np.arange(0.05, 1, 0.05)
    f1 = [data.figures(folded, data.train, t)["turn f1"][0] or 0.0 for t in choices]
    threshold = float(choices[int(np.argmax(f1))])
    probability = data.probabilities(kinds, np.flatnonzero(data.train))
    found = {
        "threshold": round(threshold, 2),
        "by turn": data.figures(folded, data.train, threshold),
        "by language": {
            code: data.figures(across, data.train & (data.language == code), threshold)
            for code in np.unique(data.language[data.train])
        },
    }
    return found | {w: data.figures(probability, data.written == w, threshold) for w in UNSEEN}


HEAD = "| features | threshold | cross-validated | new language | others | last | sixth | found in 240 requests |"


def row(name: str, found: Row) -> str:
    """Precision, recall; of a new language the means over languages."""

    def shown(*figures: Row) -> str:
        means = [np.mean([one[f"turn {key}"][0] for one in figures]) for key in ("precision", "recall")]
        return ", ".join(f"{mean:.2f}" for mean in means)

    cells = [shown(found["by turn"]), shown(*found["by language"].values())]
    cells += [shown(found[part]) for part in ("others", "last", "sixth")]
    return f"| {name} | {found['threshold']} | {' | '.join(cells)} | {found['requests']['false alarms']} |"


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m penchant_lab.instructions.learned", description=__doc__)
    add_model_options(options)
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parsed(options)
    require("sklearn", extra="bench", why="fitting a classifier")
    make_folder(chosen.out)
    torch.set_num_threads(1)
    data = Data(chosen.model)
    document: Row = {
        "benchmark": "instructions learned",
        "command": "python -m penchant_lab.instructions.learned",
        **provenance(),
        "sentences": int(data.train.sum()),
        "instructions": int(data.true[data.train].sum()),
        "features": {},
    }
    for name in FEATURES:
        document["features"][name] = found = measure(data, name)
        print(row(name, found), flush=True)
    (chosen.out / "instructions_learned.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    lines = [HEAD, "|---" * HEAD.count("| ") + "|", *(row(*pair) for pair in document["features"].items())]
    (chosen.out / "instructions_learned.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    run_and_exit(main)
