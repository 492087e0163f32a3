"""LangChain's own interfaces, over a tiny model."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from penchant import Personalizer
from penchant.errors import InputError
from penchant.integrations.langchain import PenchantCompressor, PenchantRetriever
from tests.integrations import cases

personalizer = pytest.fixture(cases.personalizer)


def test_a_retriever_gives_the_best_segments_of_a_user(personalizer: Personalizer) -> None:
    retriever = PenchantRetriever(personalizer=personalizer, who="kim", k=2)
    best, second = retriever.invoke(cases.QUERY)
    assert best.page_content == "The tuner, Ms Lind, comes every spring."
    score = best.metadata.pop("score")
    assert best.metadata == {"record": "r1", "when": "2024-03-01T00:00:00+00:00", "kind": "note", "room": "back"}
    assert score > second.metadata["score"]
    assert asyncio.run(retriever.ainvoke(cases.QUERY)) == retriever.invoke(cases.QUERY)
    chain = retriever | RunnableLambda(lambda found: [one.page_content for one in found])
    assert chain.batch([cases.QUERY])[0][0] == best.page_content


def test_a_retriever_fills_a_budget(personalizer: Personalizer) -> None:
    for who in ("kim", personalizer.history("kim"), cases.RECORDS):
        found = PenchantRetriever(personalizer=personalizer, who=who, budget=40).invoke(cases.QUERY)  # type: ignore[arg-type]
        profile = personalizer.compress("kim", cases.QUERY, 40)
        assert {one.page_content for one in found} == {one.text for one in profile.segments}
        scores = [one.metadata["score"] for one in found]
        assert scores == sorted(scores, reverse=True)


def test_errors_are_penchants(personalizer: Personalizer) -> None:
    with pytest.raises(InputError, match="no user 'noor'"):
        PenchantRetriever(personalizer=personalizer, who="noor").invoke("?")
    with pytest.raises(InputError, match="k is 0"):
        PenchantRetriever(personalizer=personalizer, who="kim", k=0).invoke("?")


DOCUMENTS = [
    Document("The wind took my hat. My bicycle is green.", id="d1", metadata={"source": "a"}),
    Document("  ", id="d2"),
    Document("It rained all day. The tuner, Ms Lind, comes every spring.", id="d3", metadata={"source": "b"}),
]


def test_a_compressor_keeps_what_matters_of_documents(personalizer: Personalizer) -> None:
    short = Personalizer(personalizer.loaded, marker="bm25", unit="sentence")
    compressor = PenchantCompressor(personalizer=short, budget=45)
    found = compressor.compress_documents(DOCUMENTS, cases.QUERY)
    assert found[0].id == "d3" and found[0].metadata["source"] == "b"
    assert "The tuner, Ms Lind, comes every spring." in found[0].page_content
    texts = {one.id: one.page_content for one in DOCUMENTS}
    assert all(part in texts[str(one.id)] for one in found for part in one.page_content.split(". "))
    assert "d2" not in {one.id for one in found}
    scores = [one.metadata["relevance_score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert list(asyncio.run(compressor.acompress_documents(DOCUMENTS, cases.QUERY))) == list(found)
    assert "relevance_score" not in DOCUMENTS[2].metadata
    assert compressor.compress_documents([], cases.QUERY) == []
    assert compressor.compress_documents(DOCUMENTS[1:2], cases.QUERY) == []


def test_a_budget_is_for_all_documents_together(personalizer: Personalizer) -> None:
    everything = PenchantCompressor(personalizer=personalizer, budget="200%")
    assert {one.id for one in everything.compress_documents(DOCUMENTS, cases.QUERY)} == {"d1", "d3"}
    little = PenchantCompressor(personalizer=personalizer, budget=12).compress_documents(DOCUMENTS, cases.QUERY)
    size = sum(
        len(personalizer.loaded.tokenizer(one.page_content, add_special_tokens=False).input_ids) for one in little
    )
    assert 0 < size <= 12
