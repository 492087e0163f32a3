"""Names of methods that write into the model."""

from __future__ import annotations

import pytest

from penchant.errors import InputError
from penchant_lab.methods.registry import check_names
from penchant_lab.methods.writing import Name, parse_steered


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fints", Name("fints")),
        ("ascent@other", Name("ascent", "other")),
        ("caa@random+bm25", Name("caa", "random", "bm25")),
        ("user-mean+bm25*0.5+dense~0.2", Name("user-mean", "", "bm25*0.5+dense~0.2")),
        ("population", Name("population")),
        ("population+fusion", Name("population", "", "fusion")),
    ],
)
def test_names_are_taken_apart_and_put_together(name: str, parts: Name) -> None:
    assert parse_steered(name) == parts
    assert str(parts) == name
    check_names([name], None)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "+",
            "@",
            "bm25",
            "+bm25",
            "@other",
            "fints+",
            "fints@",
            "fints@@other",
            "fints@other@random",
            "fints@own",
        ),
        *(
            "population@other",
            "population@random",
            "Fints",
            "fints @other",
            "fints@other+",
            "none+fints",
            "fusion@other",
        ),
    ],
)
def test_other_names_are_not_steering(name: str) -> None:
    assert parse_steered(name) is None


@pytest.mark.parametrize(
    "name", ["fints@", "fints+", "fints+fints", "fints+bm26", "fints+bm25@other", "population@other"]
)
def test_nonsense_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(InputError, match=r"no method .*: expected some of none, .*ascent"):
        check_names([name], None)
