"""The planted contradictions of `penchant_lab.small`."""

from __future__ import annotations

from penchant.marking.marks import Marks
from penchant_lab.small.__main__ import BUDGETS, LARGE, OUTCOMES, SETS, outcomes, pairs, planted, table
from tests.compression.cases import tokenizer_of, whole_records


class Personal:
    """Marks the earlier record of every pair best, and the later one next."""

    class loaded:  # noqa: N801
        name = "tiny"
        tokenizer = tokenizer_of("bytes")

    def mark(self, history, request):
        scores = [{"earlier": 9.0, "later": 8.0}.get(record.id.split("-")[0], 0.0) for record in history]
        return Marks(whole_records(history), scores, "given")


def test_the_pairs_are_what_they_say() -> None:
    known = pairs()
    assert len(known) > 150 and {one.half for one in known} == set(SETS)
    assert all(one.earlier and one.later and one.question.endswith("?") for one in known)


def test_the_rule_is_counted_with_and_without() -> None:
    some = [one for one in pairs() if one.earlier.startswith(("The choir", "Rent"))]
    cases = list(planted(Personal(), some, LARGE, 1))
    assert [len(case.history) for case in cases] == [LARGE + 2] * len(some)
    ways = {way: outcomes(Personal(), cases, together=way == "with") for way in ("without", "with")}
    assert sum(row["older alone"] for row in ways["without"].values()) > 0
    assert all(row["older alone"] == 0 and sum(row.values()) == len(some) for row in ways["with"].values())
    text = table({"model": "tiny", "planted": {"test, 90 other records": ways}})
    assert text.count("\n| test, 90") == 2 and len(OUTCOMES) == 4 and f"{BUDGETS[0]} tokens" in text
