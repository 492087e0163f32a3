"""The built-in detectors, each made from `Resources`."""

from __future__ import annotations

from penchant.conversation.context import Detector
from penchant.conversation.instructions import rhea
from penchant.conversation.instructions.patterns import detector, patterns
from penchant.conversation.instructions.probe import Probe, fitted_for
from penchant.marking.resources import Resources


def probed(resources: Resources) -> Detector:
    """Patterns, and a probe of the model's hidden states that adds to them and can overrule them.

    The probe adds instructions that the patterns miss, and rejects sentences that only look like instructions. For a
    model without a fitted probe, patterns alone.
    """
    fitted = fitted_for(resources.loaded.fingerprint)
    if fitted is None:
        return patterns()
    probe = Probe(resources.loaded, fitted)
    return detector(probe, lambda sentence, found: found.confidence != "yes" and not sentence.asks, probe.possible)


def by_patterns(resources: Resources) -> Detector:
    """Patterns alone."""
    return patterns()


def published(resources: Resources) -> Detector:
    """Rhea's question to the model, as published."""
    return rhea.rhea(resources.loaded)
