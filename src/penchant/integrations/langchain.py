"""LangChain: a retriever over a user's history, and a document compressor. `pip install 'penchant[langchain]'`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from penchant.compression.registry import DEFAULT_BUDGET
from penchant.extras import imported
from penchant.history.records import History
from penchant.integrations.passages import passages, shortened
from penchant.personalizer import Personalizer

with imported("langchain_core", extra="langchain", why="penchant.integrations.langchain"):
    from langchain_core.callbacks import CallbackManagerForRetrieverRun, Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.retrievers import BaseRetriever


def _who(given: Any) -> Any:
    return given if isinstance(given, str) else given if isinstance(given, History) else History(given)


class PenchantRetriever(BaseRetriever):
    """Retrieves what matters for a query from one user's history, best first.

    who: the id of a stored user, a history, or records or texts. k: how many segments; None: those that fill a profile
    of `budget` tokens. A document's text is verbatim; its metadata have the record's id ("record"), time and kind, what
    else the record says about itself, and the mark ("score"). Raises as `Personalizer.compress`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    personalizer: Personalizer
    who: Annotated[History | str, BeforeValidator(_who)]
    k: int | None = None
    budget: int | str = DEFAULT_BUDGET

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = passages(self.personalizer, self.who, query, k=self.k, budget=self.budget)
        return [Document(one.text, metadata={**one.about, "score": one.score}) for one in found]


class PenchantCompressor(BaseDocumentCompressor):
    """Shortens retrieved documents to what matters for the query, verbatim, and drops those of which nothing is left;
    best first, with the mark as `relevance_score` in their metadata.

    budget: tokens for all documents together, or a share ("25%"). Raises as `Personalizer.compress`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    personalizer: Personalizer
    budget: int | str = "25%"

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        texts = [document.page_content for document in documents]
        return [
            Document(text, id=documents[at].id, metadata={**documents[at].metadata, "relevance_score": score})
            for at, text, score in shortened(self.personalizer, texts, query, self.budget)
        ]
