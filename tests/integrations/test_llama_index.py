"""LlamaIndex's own interfaces, over a tiny model."""

import asyncio

import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from penchant import Personalizer
from penchant.errors import InputError
from penchant.integrations.llama_index import PenchantPostprocessor, PenchantRetriever
from tests.integrations import cases

personalizer = pytest.fixture(cases.personalizer)


def test_a_retriever_gives_the_best_segments_of_a_user(personalizer: Personalizer) -> None:
    retriever = PenchantRetriever(personalizer, "kim", k=2)
    best, second = retriever.retrieve(cases.QUERY)
    assert best.text == "The tuner, Ms Lind, comes every spring."
    assert best.metadata == {"record": "r1", "when": "2024-03-01T00:00:00+00:00", "kind": "note", "room": "back"}
    assert best.score is not None and second.score is not None and best.score > second.score
    assert [one.text for one in asyncio.run(retriever.aretrieve(cases.QUERY))] == [best.text, second.text]
    filled = PenchantRetriever(personalizer, cases.RECORDS, budget=40).retrieve(cases.QUERY)
    assert {one.text for one in filled} == {one.text for one in personalizer.compress("kim", cases.QUERY, 40).segments}
    with pytest.raises(InputError, match="no user 'noor'"):
        PenchantRetriever(personalizer, "noor").retrieve("?")


def test_a_postprocessor_keeps_what_matters_of_nodes(personalizer: Personalizer) -> None:
    texts = ["The wind took my hat. My bicycle is green.", "It rained. The tuner, Ms Lind, comes every spring."]
    nodes = [
        NodeWithScore(node=TextNode(text=text, id_=f"n{at}", metadata={"at": at})) for at, text in enumerate(texts)
    ]
    short = Personalizer(personalizer.loaded, marker="bm25", unit="sentence")
    made = PenchantPostprocessor(personalizer=short, budget=30)
    found = made.postprocess_nodes(nodes, query_str=cases.QUERY)
    assert found[0].node_id == "n1" and found[0].metadata == {"at": 1}
    assert "The tuner, Ms Lind, comes every spring." in found[0].text
    assert [one.text for one in nodes] == texts  # the given ones stay as they are
    scores = [one.score or 0.0 for one in found]
    assert scores == sorted(scores, reverse=True)
    again = asyncio.run(made.apostprocess_nodes(nodes, query_str=cases.QUERY))
    assert [one.text for one in again] == [one.text for one in found]
    with pytest.raises(InputError, match="nodes without a query"):
        made.postprocess_nodes(nodes)
