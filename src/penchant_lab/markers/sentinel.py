"""Sentinel (Zhang et al. 2025, arXiv 2505.23277): the last token's attention at every head, read by a linear probe."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.errors import InputError, ModelError
from penchant.extras import require
from penchant.files import write_text
from penchant.folders import cache_folder
from penchant.history.records import History, Request, Segment
from penchant.history.segmentation import Unit, segment
from penchant.lens.labelled import LabelledHistory, Question
from penchant.lens.lens import Lens, Wanted
from penchant.lens.prefix import PrefixCache
from penchant.marking.joint import Joint, JointPass, asked, joint_passes, seeing_layers
from penchant.marking.marks import FloatArray, Marker, Marks
from penchant.progress import Progress, no_progress

INSTRUCTION = "Here is what a person wrote and did in the past:\n"
QUESTION = "\nAnswer the following question in a few words, based on what is written above: {asked}\nAnswer:"
#: A request is given room for a multiple of so many tokens: requests of about one length see the same passes.
STEP = 64
#: Inverse strength of the L2 penalty. Mean AUC of LoCoMo's tuning conversations, each left out in turn, SmolLM2-135M in
#: passes of 2,048 tokens: 0.0001 0.694, 0.001 0.740, 0.01 0.750, 0.1 0.744; 1, scikit-learn's default, overfits more.
C = 0.01
VERSION = 1


@dataclass(frozen=True)
class SentinelProbe:
    """A logistic regression over the heads of one model.

    weights, mean, scale: [layers x heads], head by head, layer by layer; a feature is standardised by mean and scale
    first. layers: those whose heads are read. block: largest pass (None: the window) of the features it was fitted on.
    source: what it was fitted on.
    """

    model_name: str
    model_fingerprint: str
    layers: tuple[int, ...]
    weights: tuple[float, ...]
    bias: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    block: int | None = None
    source: str = ""

    def probability(self, features: FloatArray) -> FloatArray:
        """features: float32 [segments, layers x heads] -> float32 [segments], 0 to 1."""
        standard = (features.astype(np.float64) - self.mean) / self.scale
        probability: npt.NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * (standard @ self.weights + self.bias)))
        return probability.astype(np.float32)


def sentinel(lens: Lens, probe: SentinelProbe) -> Marker:
    """The marker of a fitted probe: a segment's score is the probability that it is evidence.

    Prompt: instruction, history (one segment a line), question, "Answer:". At each head of the probe's layers the
    attention of the last token is renormalised inside the history and averaged over each segment's tokens. The whole
    history runs through the model for every request and nothing is kept, as published. A history that doesn't fit the
    window beside the request is read in several passes, each normalised on its own.

    Raises `ModelError` for a probe of another model. The marker raises `InputError` for a request that leaves no room.
    """
    loaded = lens.loaded
    size = len(probe.layers) * loaded.num_heads
    if probe.model_fingerprint != loaded.fingerprint or not len(probe.weights) == len(probe.mean) == size:
        raise ModelError(
            f"the Sentinel probe was fitted on {probe.model_name} ({len(probe.weights)} heads), not on {loaded.name} "
            "as it is now; fit one on this model"
        )

    def mark(history: History, request: Request, segments: Sequence[Segment]) -> Marks:
        began = time.perf_counter()
        joint = _joint(lens, request, segments, probe.block)
        caches = (_cached(lens, joint, one, probe.layers[-1]) for one in joint.passes)
        return Marks(
            tuple(segments),
            probe.probability(_features(joint, probe.layers, caches, loaded.num_heads)),
            "sentinel",
            heads=tuple((layer, head) for layer in probe.layers for head in range(loaded.num_heads)),
            layers_run=probe.layers[-1] + 1,
            history_tokens=joint.history_tokens,
            tokens_fed=joint.history_tokens + len(joint.passes) * (len(joint.start) + len(joint.end)),
            seconds={"mark": time.perf_counter() - began},
        )

    return mark


def fit_probe(
    lens: Lens,
    labelled: Sequence[LabelledHistory],
    *,
    limit: int | None = None,
    seed: int = 0,
    block: int | None = None,
    unit: Unit = "record",
    progress: Progress = no_progress,
) -> SentinelProbe:
    """Fit a probe on labelled histories: which segments belong to a question's evidence.

    limit: questions of each history, drawn with the seed (default: all). progress: called with the number of questions
    read and to read. The keys and values of a history are kept over its questions (memory: those of all its tokens),
    which gives the features that a marker would read.

    Raises `InputError` without scikit-learn, and for histories without both evidence and other segments.
    """
    require("sklearn", extra="bench", why="fitting a Sentinel probe")
    from sklearn.linear_model import LogisticRegression

    layers = tuple(seeing_layers(lens.loaded))
    drawn = [_drawn(one.questions, limit, seed) for one in labelled]
    total = sum(map(len, drawn))
    features: list[FloatArray] = []
    evidence: list[npt.NDArray[np.bool_]] = []
    for one, questions in zip(labelled, drawn, strict=True):
        for rows, positive in _examples(lens, one.history, questions, layers, block=block, unit=unit):
            features.append(rows)
            evidence.append(positive)
            progress("reading questions", len(features), total)
    y = np.concatenate([np.zeros(0, dtype=bool), *evidence])
    if not y.any() or y.all():
        raise InputError(
            f"{total} questions with {int(y.sum())} evidence segments of {len(y)}: expected evidence and other segments"
        )
    x = np.concatenate(features).astype(np.float64)
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0.0] = 1.0
    model = LogisticRegression(C=C, class_weight="balanced", max_iter=2000, random_state=seed)
    model.fit((x - mean) / scale, y)
    return SentinelProbe(
        lens.loaded.name,
        lens.loaded.fingerprint,
        layers,
        tuple(map(float, model.coef_[0])),
        float(model.intercept_[0]),
        tuple(map(float, mean)),
        tuple(map(float, scale)),
        block,
        f"{total} questions of {', '.join(one.history.user or 'a history' for one in labelled)}",
    )


def fitted_probe(
    lens: Lens,
    labelled: Sequence[LabelledHistory],
    directory: Path | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
    block: int | None = None,
    unit: Unit = "record",
    progress: Progress = no_progress,
) -> SentinelProbe:
    """`fit_probe`, kept as a file in `directory` (default: beside the cached models) under everything it depends on.

    Raises what `fit_probe` and `read_probe` raise.
    """
    known: list[object] = [VERSION, lens.loaded.fingerprint, INSTRUCTION, QUESTION, STEP, C, limit, seed, block, unit]
    for one in labelled:
        known.append([record.content_hash() for record in one.history])
        known.append([record.id for record in one.history])
        known.append([(q.request.query, q.request.task, q.evidence) for q in one.questions])
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
    name = lens.loaded.name.replace("/", "--")
    path = (directory or cache_folder() / "probes") / f"sentinel-{name}-{digest}.json"
    if path.is_file():
        return read_probe(path)
    probe = fit_probe(lens, labelled, limit=limit, seed=seed, block=block, unit=unit, progress=progress)
    save_probe(probe, path)
    return probe


def save_probe(probe: SentinelProbe, path: Path) -> None:
    """Write the JSON file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"format": VERSION, **asdict(probe)}, indent=1) + "\n")


def read_probe(path: Path) -> SentinelProbe:
    """Read a probe's file. Raises `ModelError` naming the file and what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != VERSION:
            raise ValueError(f"expected format {VERSION}")
        floats = {name: tuple(float(value) for value in document[name]) for name in ("weights", "mean", "scale")}
        return SentinelProbe(**{**document, **floats, "layers": tuple(int(layer) for layer in document["layers"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} isn't a Sentinel probe ({error}); delete it and fit one") from error


def _joint(lens: Lens, request: Request, segments: Sequence[Segment], block: int | None) -> Joint:
    ending = QUESTION.format(asked=asked(request))
    return joint_passes(lens.loaded, segments, instruction=INSTRUCTION, ending=ending, block=block, step=STEP)


def _cached(lens: Lens, joint: Joint, one: JointPass, last_layer: int) -> PrefixCache:
    cache = PrefixCache(lens, last_layer)
    cache.append(joint.start)
    cache.append(one.tokens)
    return cache


def _features(joint: Joint, layers: Sequence[int], caches: Iterator[PrefixCache], heads: int) -> FloatArray:
    """float32 [segments, layers x heads]: mean share of the last token's attention on the history of a segment's
    tokens. caches: of each pass, in order; one that is made on the way is let go of before the next."""
    wanted = Wanted(row_layers=frozenset(layers), rows=(-1,))
    mass = np.zeros((len(joint.counts), len(layers) * heads))
    for one, cache in zip(joint.passes, caches, strict=True):
        read = cache.read(joint.end, wanted).rows
        rows = np.concatenate([read[layer][0, :, 0].cpu().numpy() for layer in layers]).astype(np.float64)
        inside = rows[:, len(joint.start) : cache.length]
        # A head that looks at nothing of the history (a sliding window) says nothing.
        total = inside.sum(1, keepdims=True)
        share = np.divide(inside, total, out=np.zeros_like(inside), where=total > 0)
        running = np.concatenate([np.zeros((len(share), 1)), np.cumsum(share, 1)], 1)
        at = 0
        for i, tokens in one.pieces:
            mass[i] += running[:, at + len(tokens)] - running[:, at]
            at += len(tokens)
    return (mass / np.maximum(joint.counts, 1)[:, None]).astype(np.float32)


def _drawn(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    if limit is None or limit >= len(questions):
        return list(questions)
    return [questions[index] for index in sorted(random.Random(seed).sample(range(len(questions)), limit))]


def _examples(
    lens: Lens,
    history: History,
    questions: Sequence[Question],
    layers: tuple[int, ...],
    *,
    block: int | None,
    unit: Unit,
) -> Iterator[tuple[FloatArray, npt.NDArray[np.bool_]]]:
    """Of each question: the features of every segment, and which of them are evidence."""
    segments = segment(history, unit)
    joints = [(_joint(lens, question.request, segments, block), question) for question in questions]
    passes: tuple[JointPass, ...] | None = None
    caches: list[PrefixCache] = []
    # Questions with the same passes together, so that one set of caches is held at a time.
    for joint, question in sorted(joints, key=lambda pair: -(-len(pair[0].end) // STEP)):
        if joint.passes != passes:
            caches.clear()
            caches += [_cached(lens, joint, one, layers[-1]) for one in joint.passes]
            passes = joint.passes
        rows = _features(joint, layers, iter(caches), lens.loaded.num_heads)
        yield rows, np.array([piece.record_id in question.evidence for piece in segments], dtype=bool)
