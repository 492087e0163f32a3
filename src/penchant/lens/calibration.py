"""Calibrations: which heads of a model mark best, and how their attention is read. A small JSON file per model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penchant.errors import ModelError
from penchant.files import write_text
from penchant.folders import cache_folder
from penchant.hints import command
from penchant.lens.lens import Lens
from penchant.models.anatomy import attending_layers
from penchant.models.loading import LoadedModel

SHIPPED = Path(__file__).parent / "calibrations"
FORMAT = 1

#: Requests that ask for nothing in particular. Their attention is salience, not relevance, and is subtracted.
NEUTRAL = (
    "Hello.",
    "What?",
    "Who are you?",
    "What is it?",
    "When did it happen?",
    "Where did they go?",
    "Who is he?",
    "What does she like?",
    "What did he buy?",
    "How many are there?",
    "Why did she do that?",
    "Which one is the favorite?",
    "What are they planning to do?",
    "How did it go?",
    "What happened last week?",
    "When is the event?",
    "What kind of thing is it?",
    "Where does he live?",
    "What is her job?",
)


@dataclass(frozen=True)
class Calibration:
    """How the attention index of one model is built and read.

    heads: (layer, query head) pairs, with one weight each. prefix: text before every record and request (its keys are
    never scored). neutral, baseline: the neutral requests, and the share of their attention that is subtracted.
    previous, following: how much the scores of a segment's neighbours in time add to its own. fusion: weights of the
    markers that are combined, by their names ("attention+bm25"). scores: measurements made with the file, and their
    data.
    """

    model_name: str
    model_fingerprint: str
    heads: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]
    prefix: str = ""
    neutral: tuple[str, ...] = NEUTRAL
    baseline: float = 0.6
    previous: float = 0.2
    following: float = 0.2
    fusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.heads or len(self.heads) != len(self.weights):
            raise ModelError(
                f"calibration of {self.model_name}: {len(self.heads)} heads and {len(self.weights)} weights; expected "
                f"at least one head and a weight for each; run {command('heads discover', model=self.model_name)} again"
            )
        if not self.neutral:
            raise ModelError(
                f"calibration of {self.model_name}: no neutral requests; expected at least one (a baseline of 0 turns "
                f"them off); run {command('heads discover', model=self.model_name)} again"
            )

    @property
    def last_layer(self) -> int:
        return max(layer for layer, _ in self.heads)

    @property
    def name(self) -> str:
        """The model's name (without the slash of a hub id, so that it can name a file) and a digest of what determines
        the keys.
        """
        return f"{self.model_name.replace('/', '--')}-{self.encoding_digest[:8]}"

    @property
    def encoding_digest(self) -> str:
        """SHA-256 of what determines the stored keys. Changing weights or smoothing leaves an index usable."""
        stored = [FORMAT, sorted(self.heads), self.prefix]
        return hashlib.sha256(json.dumps(stored).encode()).hexdigest()

    def check(self, loaded: LoadedModel) -> None:
        """Raise `ModelError` unless every head exists in the model, at a layer that attends."""
        attending = attending_layers(loaded.model)
        for layer, head in self.heads:
            if layer not in attending or not 0 <= head < loaded.num_heads:
                which = "" if len(attending) == loaded.num_layers else f", which attends at {attending}"
                raise ModelError(
                    f"calibration {self.name} reads head {layer}.{head}, but {loaded.name} has {loaded.num_layers} "
                    f"layers of {loaded.num_heads} heads{which}; run {command('heads discover', **loaded.options)}"
                )


def user_calibrations() -> Path:
    """Return the folder that `heads discover` writes to, and that is searched before the shipped calibrations."""
    return cache_folder() / "calibrations"


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the JSON file, atomically."""
    document = {"format": FORMAT, **asdict(calibration)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_calibration(path: Path, loaded: LoadedModel | None = None) -> Calibration:
    """Read a calibration file. loaded: the model that it is for. Raises `ModelError`, naming the file, what is wrong
    with it, and the command that writes it anew.
    """
    again = command("heads discover", **({} if loaded is None else loaded.options), out=path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise ModelError(f"{path}: expected calibration format {FORMAT}; run {again}")
        return Calibration(
            **{
                **document,
                "heads": tuple((int(layer), int(head)) for layer, head in document["heads"]),
                "weights": tuple(float(weight) for weight in document["weights"]),
                "neutral": tuple(str(request) for request in document["neutral"]),
                **{share: float(document[share]) for share in ("baseline", "previous", "following")},
                "fusion": {
                    parts: {name: float(weight) for name, weight in weights.items()}
                    for parts, weights in document["fusion"].items()
                },
            }
        )
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} isn't a calibration file ({error}); run {again} to write one") from error


def calibration_for(loaded: LoadedModel, directory: Path | None = None) -> Calibration:
    """Return the calibration of a model: from `directory` (where `heads discover` wrote it), else from the shipped
    ones.

    Matched by fingerprint; a model with adapters in use takes that of the model without them, unless it has its own.
    Raises `ModelError` if there is none, or can't be one.
    """
    found = {}
    for folder in (SHIPPED, directory):
        for path in sorted(folder.glob("*.json"), reverse=True) if folder is not None and folder.is_dir() else ():
            calibration = read_calibration(path, loaded)
            found[calibration.model_fingerprint] = calibration
    for fingerprint in (loaded.fingerprint, loaded.identity.base, loaded.identity.earlier):
        if fingerprint in found:
            found[fingerprint].check(loaded)
            return found[fingerprint]
    Lens(loaded)  # a model that can't be read says so: discovering its heads would fail
    raise ModelError(
        f"no calibration for {loaded.name}: its retrieval heads aren't known; run "
        f"{command('heads discover', **loaded.options)} once (minutes), or choose the marker bm25 or dense"
    )
