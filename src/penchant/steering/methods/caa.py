"""CAA (arXiv 2312.06681): contrastive activation addition."""

from penchant.steering.apply.aggregation import Aggregation
from penchant.steering.methods.method import VectorMethod

CAA = VectorMethod(
    "caa",
    ("block",),
    "answer_mean",
    (Aggregation(top=None, weights="uniform"),),
    (0.5, 1.0, 2.0),
    "CAA: the mean difference of all the user's contrasts in the residual stream (arXiv 2312.06681)",
)
