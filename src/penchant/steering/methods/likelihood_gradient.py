"""Penchant's own method: instance-tailored gradient steps that increase the likelihood of the user's answers, starting
from the population's.
"""

from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.methods.method import VectorMethod

LIKELIHOOD_GRADIENT = VectorMethod(
    "ascent",  # public name: on the command line, in the names of stored files and in committed results
    ("block",),
    "gradient",
    (
        Aggregation(top=None, weights="softmax", temperature=0.15, own_share=0.3),
        Aggregation(top=None, weights="softmax", temperature=0.3, own_share=0.3),
        Aggregation(top=None, weights="softmax", temperature=0.3, shrinkage=8.0),
        Aggregation(top=None, weights="uniform", own_share=0.3),
        Aggregation(top=None, weights="uniform", shrinkage=8.0),
        Aggregation(top=None, weights="uniform"),
    ),
    (0.03, 0.06, 0.1),
    "Penchant: gradients of the likelihood of the user's own answers, weighted by similarity to the request",
    population=True,
)
"""A Fints vector says how the user's text differs once it is there; a gradient says what makes it come (docs/methods/
steering.md has the measurements). The population's own step is the base: what is common isn't taken for personal."""
