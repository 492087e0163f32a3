"""LlamaIndex: a retriever over a user's history, and a node postprocessor. `pip install 'penchant[llama-index]'`."""

from __future__ import annotations

from pydantic import ConfigDict

from penchant.asked import Who
from penchant.compression.registry import DEFAULT_BUDGET
from penchant.errors import InputError
from penchant.extras import imported
from penchant.history.records import History
from penchant.integrations.passages import passages, shortened
from penchant.personalizer import Personalizer

with imported("llama_index", extra="llama-index", why="penchant.integrations.llama_index"):
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode


class PenchantRetriever(BaseRetriever):
    """Retrieves what matters for a query from one user's history, best first.

    who: the id of a stored user, a history, or records or texts. k: how many segments; None: those that fill a profile
    of `budget` tokens. A node's text is verbatim; its metadata have the record's id ("record"), time and kind, and what
    else the record says about itself. Raises as `Personalizer.compress`.
    """

    def __init__(
        self, personalizer: Personalizer, who: Who, *, k: int | None = None, budget: int | str = DEFAULT_BUDGET
    ) -> None:
        super().__init__()
        self.personalizer, self.k, self.budget = personalizer, k, budget
        self.who = who if isinstance(who, str | History) else History(who)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = passages(self.personalizer, self.who, query_bundle.query_str, k=self.k, budget=self.budget)
        return [NodeWithScore(node=TextNode(text=one.text, metadata=one.about), score=one.score) for one in found]


class PenchantPostprocessor(BaseNodePostprocessor):
    """Shortens retrieved nodes to what matters for the query, verbatim, and drops those of which nothing is left; best
    first, with the mark as score. The given nodes stay as they are.

    budget: tokens for all nodes together, or a share ("25%"). Raises as `Personalizer.compress`, and `InputError`
    without a query.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    personalizer: Personalizer
    budget: int | str = "25%"

    @classmethod
    def class_name(cls) -> str:
        return "PenchantPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("nodes without a query: expected one, which says what of them matters")
        texts = [one.node.get_content(MetadataMode.NONE) for one in nodes]
        found = []
        for at, text, score in shortened(self.personalizer, texts, query_bundle.query_str, self.budget):
            node = nodes[at].node.model_copy()
            node.set_content(text)
            found.append(NodeWithScore(node=node, score=score))
        return found
