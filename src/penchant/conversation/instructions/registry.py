"""Detectors by name. Adding one is one line in DETECTORS."""

from __future__ import annotations

from collections.abc import Callable

from penchant.conversation.context import Detector
from penchant.conversation.instructions.patterns import detector, patterns
from penchant.conversation.instructions.probe import Probe, fitted_for
from penchant.conversation.instructions.rhea import rhea
from penchant.errors import InputError
from penchant.marking.registry import Toolbox
from penchant_lab.detectors.judge import Judge

DEFAULT_DETECTOR = "penchant"


def probed(toolbox: Toolbox) -> Detector:
    """Patterns, and the probe of the model's hidden states for what they pass over, and against what they take for an
    instruction by its words alone; for a model that no probe was fitted on, patterns alone."""
    fitted = fitted_for(toolbox.loaded.fingerprint)
    if fitted is None:
        return patterns()
    probe = Probe(toolbox.loaded, fitted)
    return detector(probe, lambda sentence, found: found.sure != "yes" and not sentence.asks, probe.possible)


DETECTORS: dict[str, Callable[[Toolbox], Detector]] = {
    "penchant": probed,
    "patterns": lambda toolbox: patterns(),
    "judge": lambda toolbox: detector(Judge(toolbox.lens)),
    "rhea": lambda toolbox: rhea(toolbox.loaded),
}


def make_detector(name: str, toolbox: Toolbox) -> Detector:
    """The detector `name`. Raises `InputError` for an unknown name, `ModelError` for what the model lacks."""
    try:
        make = DETECTORS[name]
    except KeyError:
        raise InputError(f"no detector {name!r}: expected one of {', '.join(DETECTORS)}") from None
    return make(toolbox)
