"""Fints (arXiv 2510.27206): fine-grained, instance-tailored steering."""

from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.methods.method import VectorMethod

FINTS = VectorMethod(
    "fints",
    ("attention", "mlp"),
    "answer_mean",
    (Aggregation(top=5, weights="uniform"), Aggregation(top=5, weights="softmax", temperature=0.1)),
    (0.5, 1.0, 2.0),
    "Fints: mean activations of the user's answer minus the model's, the five most similar samples (arXiv 2510.27206)",
)
"""Both outputs of one layer ("pulse and re-pulse"), of the five samples most like the request."""

FINTS_PROMPT = VectorMethod(
    "fints-prompt",
    ("attention", "mlp"),
    "prompt_last",
    FINTS.aggregations,
    FINTS.strengths,
    "Fints in its second reading: the last prompt token with the user's items in the prompt minus with others'",
)
