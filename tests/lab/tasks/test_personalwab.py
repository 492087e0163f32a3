import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant_lab.measures.leaks import leaks
from penchant_lab.tasks.personalwab import CANDIDATES, FUNCTIONS, functions, products, reviews
from penchant_lab.tasks.registry import TASKS

NOW = 1_600_000_000_000
MINUTE = 60_000


def _bought(product: str, when: int, category: str = "Garden", **review: Any) -> dict[str, Any]:
    info = {
        "parent_asin": product,
        "title": f"The {product} of the house",
        "main_category": category,
        "average_rating": 4.1,
        "price": 9.5,
        "store": "Shed & Sons",
        "details": {"Colour": "green"},
        "features": ["light"],
        "description": [],
    }
    return {"product_info": info, "review": {"rating": 4.0, "text": f"I bought {product}.", "timestamp": when} | review}


def _instruction(user: str, kind: str, product: str, when: int = NOW, category: str = "Garden") -> dict[str, Any]:
    target = _bought(product, when, category, text=f"My honest words on {product} after a year.")
    return {"user_id": user, "type": kind, "task": f"Please {kind} for me now", "timestamp": when, "target": target}


def _write(folder: Path, instructions: Any, history: Any) -> Path:
    (folder / "user_instructions.json").write_text(json.dumps(instructions), encoding="utf-8")
    (folder / "user_history.json").write_text(json.dumps(history), encoding="utf-8")
    return folder


HISTORY = {
    "U1": [
        _bought("rake", NOW - 3 * MINUTE),
        _bought("hose", NOW - 5 * MINUTE, rating=None, text=""),
        _bought("barrow", NOW - 4 * MINUTE),  # what the search means, bought before
        _bought("spade", NOW),  # at the same time, and later: not yet known
        _bought("hoe", NOW + MINUTE),
    ],
    "U2": [_bought(f"pot{number}", NOW - number * MINUTE) for number in range(1, 15)]
    + [_bought(f"lamp{number}", NOW - number * MINUTE, "Lights") for number in range(1, 15)],
}
HISTORY["U1"][2]["product_info"]["title"] = "Barrow, first edition"  # the number says that it is the same one
INSTRUCTIONS = {
    "train": [_instruction("U1", "search", "pot1")],
    "test": [
        _instruction("U1", "search", "barrow"),
        _instruction("U1", "recommend", "ladder"),
        _instruction("U1", "review", "spade"),
        _instruction("U2", "review", "sieve"),
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path, INSTRUCTIONS, HISTORY)


def test_the_function_of_every_test_instruction(folder: Path) -> None:
    found = functions(folder)
    assert [item.id for item in found] == ["test/0", "test/1", "test/2", "test/3"]
    assert [item.user for item in found] == ["U1", "U1", "U1", "U2"]
    assert [item.category for item in found] == ["search", "recommend", "review", "review"]
    assert [item.answer for item in found] == [FUNCTIONS[item.category] for item in found]
    assert {item.choices for item in found} == {tuple(FUNCTIONS.values())}
    assert all(choice in (found[0].request.task or "") for choice in found[0].choices)
    assert found[0].request.query == "Please search for me now"


def test_only_what_the_user_did_before_is_known(folder: Path) -> None:
    search, recommend, review, _ = functions(folder)
    assert [record.meta["product"] for record in recommend.history] == ["hose", "barrow", "rake"]
    assert [record.meta["product"] for record in search.history] == ["hose", "rake"]
    assert recommend.history is review.history
    hose, _, rake = recommend.history
    assert (rake.text, rake.reply, rake.label) == ("The rake of the house. Garden", "I bought rake.", 4.0)
    assert rake.when == datetime(2020, 9, 13, 12, 23, 40, tzinfo=UTC)
    assert (hose.reply, hose.label) == (None, None)
    assert not any(leaks(item) for read in (functions, products, reviews) for item in read(folder))


def test_the_splits_of_a_history_are_one(tmp_path: Path, folder: Path) -> None:
    whole = functions(folder)
    parted = HISTORY | {"U1": {"history": HISTORY["U1"][:2], "train": HISTORY["U1"][2:3], "test": HISTORY["U1"][1:]}}
    assert [i.history.records for i in functions(_write(tmp_path, INSTRUCTIONS, parted))] == [
        i.history.records for i in whole
    ]


def test_the_product_among_others_of_its_category(folder: Path) -> None:
    found = products(folder)
    assert [item.category for item in found] == ["search", "recommend"]
    for item in found:
        assert len(set(item.choices)) == CANDIDATES
        names = [choice.split()[1] for choice in item.choices]
        assert all(name.startswith("pot") for name in names if f"The {name} of the house" != item.answer)
    assert found[0].answer == "The barrow of the house"
    drawn = {seed: [item.choices for item in products(folder, seed)] for seed in range(30)}
    assert drawn[0] == [item.choices for item in products(folder, 0)] != drawn[1]
    assert len({choices[0].index("The barrow of the house") for choices in drawn.values()}) > 5


def test_other_categories_fill_up_what_is_missing(tmp_path: Path) -> None:
    few = {"U1": HISTORY["U1"], "U2": [*HISTORY["U2"][:3], *HISTORY["U2"][14:]]}
    choices = products(_write(tmp_path, INSTRUCTIONS, few))[0].choices
    kinds = [choice.split()[1].rstrip("0123456789") for choice in choices]
    assert (kinds.count("pot"), kinds.count("lamp"), kinds.count("barrow")) == (3, 6, 1)
    with pytest.raises(InputError, match="no other product"):
        products(_write(tmp_path, INSTRUCTIONS, {"U1": HISTORY["U1"], "U2": []}))


def test_the_users_own_review(folder: Path) -> None:
    spade, sieve = reviews(folder)
    assert spade.answer == "My honest words on spade after a year."
    assert spade.request.query.endswith("The spade of the house")
    assert (sieve.user, len(sieve.history)) == ("U2", 28)
    assert not spade.choices and TASKS["personalwab-review"].max_new_tokens > 0


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no PersonalWAB folder"):
        functions(tmp_path)


@pytest.mark.parametrize("name", ["user_instructions.json", "user_history.json"])
def test_a_truncated_file_is_named_with_the_position(folder: Path, name: str) -> None:
    (folder / name).write_text((folder / name).read_text(encoding="utf-8")[:-50], encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}.*line 1 column"):
        functions(folder)


def _changed(**changes: Any) -> dict[str, Any]:
    return {"test": [_instruction("U1", "search", "rake"), _instruction("U1", "search", "rake") | changes]}


@pytest.mark.parametrize(
    ("instructions", "history", "message"),
    [
        ({"train": []}, HISTORY, "no list under 'test'"),
        ([], HISTORY, "user_instructions.json: no object"),
        (_changed(type="dance"), HISTORY, "test 2: type 'dance'; expected one of search, recommend, review"),
        (_changed(task=" "), HISTORY, "test 2: no instruction"),
        (_changed(timestamp="soon"), HISTORY, "test 2: timestamp 'soon'"),
        (_changed(target={"review": {}}), HISTORY, "test 2 target product_info: no object"),
        (_changed(user_id="U9"), HISTORY, "test/1: user 'U9' has no history"),
        (INSTRUCTIONS, HISTORY | {"U2": [_bought("a", NOW), {"review": {}}]}, "user U2 item 2 product_info: no object"),
        (INSTRUCTIONS, HISTORY | {"U2": [_bought("", NOW)]}, "user U2 item 1: a product without parent_asin"),
        (INSTRUCTIONS, HISTORY | {"U2": [_bought("a", NOW, rating="high")]}, "user U2 item 1: rating 'high'"),
        (INSTRUCTIONS, HISTORY | {"U2": "nothing"}, "user U2: no list"),
    ],
)
def test_damaged_data_is_named_with_the_position(tmp_path: Path, instructions: Any, history: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        functions(_write(tmp_path, instructions, history))
