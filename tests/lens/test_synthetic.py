import re

import pytest

from penchant.errors import InputError
from penchant.lens.labelled import LabelledHistory
from penchant.lens.synthetic import LONGEST, SHORTEST, _Person, _render, material, needle_histories

_STOP = re.compile(
    r"a|an|and|are|at|by|can|did|do|does|for|from|get|had|has|have|her|his|how|i|in|is|it|like|make|me|most|must|my|of|"
    r"on|one|or|over|she|should|that|the|them|they|to|up|was|what|when|where|which|who|whom|whose|with|would|day|date"
)


def _stems(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(ing|ed|es|s)$", "", word) for word in words if not _STOP.fullmatch(word)}


def _holds(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


@pytest.fixture(scope="module")
def many() -> list[LabelledHistory]:
    return needle_histories(12, 150, seed=5)


def test_the_same_seed_gives_the_same_histories() -> None:
    def plain(histories: list[LabelledHistory]) -> list[object]:
        return [(h.history.user, h.history.records, h.questions) for h in histories]

    three = plain(needle_histories(3, 40, seed=1))
    assert plain(needle_histories(3, 40, seed=1)) == three
    assert plain(needle_histories(5, 40, seed=1))[:3] == three
    assert plain(needle_histories(3, 40, seed=2)) != three


def test_every_answer_stands_in_its_record_and_nowhere_else(many: list[LabelledHistory]) -> None:
    for labelled in many:
        for question in labelled.questions:
            holding = [record.id for record in labelled.history if _holds(record.text, question.answer)]
            assert tuple(holding) == question.evidence, question


def test_no_two_questions_share_a_record_and_none_gives_itself_away(many: list[LabelledHistory]) -> None:
    for labelled in many:
        assert len(labelled.questions) == 30
        assert len({q.evidence for q in labelled.questions}) == 30
        assert len({q.answer for q in labelled.questions}) == 30
        assert len({q.request.query for q in labelled.questions}) == 30
        assert not [q for q in labelled.questions if _holds(q.request.query, q.answer)]


def test_records_have_a_natural_length_and_go_forward_in_time(many: list[LabelledHistory]) -> None:
    for labelled in many:
        records = labelled.history.records
        assert len(records) == 150
        assert len({record.id for record in records}) == 150
        lengths = [len(record.text.split()) for record in records]
        assert min(lengths) >= SHORTEST
        assert max(lengths) <= LONGEST
        times = [record.when for record in records if record.when]
        assert len(times) == 150
        assert times == sorted(times)
        assert [record.id.rsplit(":")[1] for record in records] == [str(n) for n in range(150)]


def test_others_have_something_of_the_same_kind(many: list[LabelledHistory]) -> None:
    by_value = {value: kind["name"] for kind in material()["attributes"] for value in kind["values"]}
    rivals = asked = 0
    for labelled in many:
        text = " ".join(record.text for record in labelled.history)
        for question in labelled.questions:
            if kind := by_value.get(question.answer):
                asked += 1
                rivals += sum(_holds(text, value) for value, other in by_value.items() if other == kind) > 1
    assert rivals / asked > 0.95


def test_nothing_of_the_same_kind_is_told_of_the_person_asked_about(many: list[LabelledHistory]) -> None:
    everybody = [_Person(name, pronoun) for name, pronoun in material()["people"]]
    for labelled in many:
        texts = [record.text for record in labelled.history]
        asked = {q.answer: q.request.query for q in labelled.questions}
        for kind in material()["attributes"]:
            for answer in asked.keys() & set(kind["values"]):
                subjects = [None, *(person for person in everybody if person.name in asked[answer])]
                rivals = {
                    _render(told, who, value)
                    for told in kind["told"]
                    for who in subjects
                    for value in kind["values"]
                    if value != answer
                }
                assert not [text for text in texts if any(rival in text for rival in rivals)], asked[answer]


def test_three_styles() -> None:
    notes, chat, log = needle_histories(3, 60, seed=0)
    assert all(re.search(r"\b(I|my|me)\b", q.request.query) for q in notes.questions)
    speakers = {record.meta["speaker"] for record in chat.history}
    assert len(speakers) == 2
    assert all(record.text.startswith(f"{record.meta['speaker']}: ") for record in chat.history)
    assert all(sum(name in q.request.query for name in speakers) == 1 for q in chat.questions)
    by_id = {record.id: record for record in chat.history}
    assert all(by_id[q.evidence[0]].meta["speaker"] in q.request.query for q in chat.questions)
    (name,) = {name for name, _ in material()["people"] if all(name in q.request.query for q in log.questions)}
    told = {record.id: record.text for record in log.history}
    assert all(name in told[q.evidence[0]] for q in log.questions)
    assert not any("{" in record.text for labelled in (notes, chat, log) for record in labelled.history)


def test_questions_use_other_words_than_what_is_told() -> None:
    shared = pairs = 0
    for kind in [*material()["attributes"], *material()["events"]]:
        for told in kind["told"]:
            assert re.search(r"\{(I|me|my)\}", told), told
            assert "{value}" in told, told
            for asked in kind["asked"]:
                assert re.search(r"\{(I|me|my)\}", asked), asked
                pairs += 1
                common = _stems(told) & _stems(asked)
                assert len(common) <= 1, (told, asked, common)
                shared += len(common)
    assert shared / pairs < 0.1


def test_there_is_enough_material() -> None:
    kinds = material()["attributes"]
    assert len(kinds) >= 40
    assert len({kind["name"] for kind in [*kinds, *material()["events"]]}) == len(kinds) + len(material()["events"])
    for kind in kinds:
        assert len(set(kind["values"])) >= 10, kind["name"]
        assert len(set(kind["told"])) >= 3, kind["name"]
        assert len(set(kind["asked"])) >= 3, kind["name"]


def test_small_and_impossible_sizes() -> None:
    (single,) = needle_histories(1, 1, seed=0)
    assert len(single.history) == len(single.questions) == 1
    assert needle_histories(0, 10, seed=0) == []
    with pytest.raises(InputError, match="at least one record"):
        needle_histories(1, 0, seed=0)
    with pytest.raises(InputError, match="0 or more"):
        needle_histories(-1, 5, seed=0)
