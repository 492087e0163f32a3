"""One vector per user: the baseline of input-aware steering."""

from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.methods.method import VectorMethod

USER_MEAN = VectorMethod(
    "user-mean",
    ("attention", "mlp"),
    "answer_mean",
    (Aggregation(top=None, weights="uniform"),),
    (0.5, 1.0, 2.0),
    "the mean of all the user's Fints vectors, whatever is asked",
)
