"""Discovery of a model's retrieval heads: every head is tried on labelled evidence, and a few are kept and weighted.

After Retrieval Head (Wu et al., arXiv 2404.15574), with another criterion: not whether a head copies a planted needle,
but how well the attention index built from it alone ranks the evidence of a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from penchant.errors import InputError
from penchant.history.records import Segment
from penchant.index.attention import AttentionIndex
from penchant.index.encode import Encoder
from penchant.index.score import FloatArray
from penchant.lens.calibration import Calibration
from penchant.lens.conditional_logit import Example, area_under_curve, auc_left_out, fit_weights
from penchant.lens.labelled import LabelledHistory
from penchant.lens.lens import Lens
from penchant.models.anatomy import attending_layers
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.progress import Progress, no_progress

#: How many heads get a weight before the weak ones are dropped.
CANDIDATES = 16
#: A head whose weight is below this share of the largest is dropped: it costs keys and adds nothing.
MIN_SHARE = 0.08


@dataclass(frozen=True)
class Discovery:
    """The result of a discovery. calibration: ready to be saved. auc: float [layers, heads], of each head alone (nan if
    not tried).
    """

    calibration: Calibration
    auc: FloatArray


def prefix_of(loaded: LoadedModel) -> str:
    """Return how the model's chat template opens a user's turn; for a model without one, a short line of text.

    Measured on SmolLM2: as good as "Here is a conversation between two friends.", at a third of the tokens; a lone
    first token is much worse (AUC 0.93 against 0.95).
    """
    if not loaded.tokenizer.chat_template:
        return "Here is a conversation between two friends.\n"
    roles = ("user", "assistant", "user")
    said = [{"role": role, "content": f"zq{i}"} for i, role in enumerate(roles)]
    between = render_chat(loaded, said, add_generation_prompt=False).partition("zq1")[2]
    opened, _, closed = between.partition("zq2")
    return opened.removeprefix(closed) or opened


def whole_records(labelled: LabelledHistory) -> tuple[Segment, ...]:
    """Every record as one segment."""
    history = labelled.history
    return tuple(Segment(i, record.id, 0, len(record.body), record.body) for i, record in enumerate(history))


def discover(
    lens: Lens,
    labelled: Sequence[LabelledHistory],
    *,
    prefix: str,
    baseline: float = 0.6,
    max_layer: int | None = None,
    max_heads: int = 6,
    source: str = "",
    progress: Progress = no_progress,
) -> Discovery:
    """Calibrate a model on labelled histories.

    Two passes over the data, so that at most one layer's features are held: each head alone, then the weights of the
    best ones. max_layer: the deepest layer to try (default: the last; a shallower one makes encoding cheaper).
    "auc_left_out" is measured with weights fitted on the other histories (None for a single one); the heads are chosen
    on all of them.

    Raises `InputError` without questions.
    """
    questions = sum(len(one.questions) for one in labelled)
    if not questions:
        raise InputError("no labelled questions: expected histories with evidence; check the data's path and format")
    loaded = lens.loaded
    depth = loaded.num_layers if max_layer is None else min(max_layer + 1, loaded.num_layers)
    layers = [layer for layer in attending_layers(loaded.model) if layer < depth]
    everything = [(layer, head) for layer in layers for head in range(loaded.num_heads)]
    total = 2 * questions

    def calibration(heads: Sequence[tuple[int, int]]) -> Calibration:
        return Calibration(
            loaded.name, loaded.fingerprint, tuple(heads), (1.0,) * len(heads), prefix=prefix, baseline=baseline
        )

    tried = Encoder(lens, calibration(everything))
    alone = np.zeros(len(everything))
    done = 0
    for one in labelled:
        for features, evidence in _features(tried, one):
            alone += [area_under_curve(row, evidence) for row in features]
            done += 1
            progress("trying heads", done, total)
    alone /= questions
    best = [everything[i] for i in np.argsort(-alone, kind="stable")[:CANDIDATES]]

    chosen = Encoder(lens, calibration(best))
    groups: list[list[Example]] = []
    for one in labelled:
        groups.append([])
        for features, evidence in _features(chosen, one):
            groups[-1].append(Example(features, evidence))
            done += 1
            progress("trying heads", done, total)
    kept = _prune(groups, max_heads)
    groups = [[replace(example, features=example.features[kept]) for example in group] for group in groups]
    fitted = fit_weights([example for group in groups for example in group])
    auc = np.full((loaded.num_layers, loaded.num_heads), np.nan, dtype=np.float32)
    for (layer, head), value in zip(everything, alone, strict=True):
        auc[layer, head] = value
    heads = [best[i] for i in kept]
    scores = {
        "source": source,
        "questions": questions,
        "auc_left_out": auc_left_out(groups),
        "auc_alone": {f"{layer}.{head}": round(float(auc[layer, head]), 4) for layer, head in heads},
    }
    return Discovery(
        replace(
            calibration(heads),
            weights=tuple(round(weight, 4) for weight in fitted.weights),
            previous=round(fitted.previous, 4),
            following=round(fitted.following, 4),
            scores=scores,
        ),
        auc,
    )


def _features(encoder: Encoder, labelled: LabelledHistory) -> Iterator[tuple[FloatArray, tuple[int, ...]]]:
    index = AttentionIndex(encoder)
    index.sync(labelled.history)
    segments = whole_records(labelled)
    position = {record.id: i for i, record in enumerate(labelled.history)}
    for question in labelled.questions:
        scores = index.head_scores(labelled.history, segments, question.request.query)
        yield scores, tuple(position[record] for record in question.evidence)


def _prune(groups: Sequence[Sequence[Example]], max_heads: int) -> list[int]:
    """Drop the weakest head and fit again, until every remaining head has enough weight."""
    kept = list(range(groups[0][0].features.shape[0]))
    while True:
        fitted = fit_weights([replace(e, features=e.features[kept]) for group in groups for e in group])
        weakest = int(np.argmin(fitted.weights))
        strong = fitted.weights[weakest] >= MIN_SHARE * max(fitted.weights)
        if (strong and len(kept) <= max_heads) or len(kept) == 1:
            return kept
        del kept[weakest]
