"""PersonalWAB (Cai et al. 2024, arXiv 2410.17236): what a user's web agent should do, given what the user has bought.

The original measures a running agent in a shop. Three of its parts need no shop: which function an instruction calls
for, which product the user means (among candidates), and the user's review of a product.

Layout: user_instructions.json has "train" and "test", each a list of {"user_id", "type" (search, recommend, review),
"task" (the instruction), "timestamp", "target": {"product_info", "review"}}. user_history.json has, by user id, what
was bought: {"product_info", "review"}, in one list or in several ("history", "train", "test"). Times are in
milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from penchant.errors import InputError
from penchant.history.importers.reading import read_json
from penchant.history.records import History, Record, Request
from penchant_lab.bench.items import Item
from penchant_lab.measures.leaks import without_leaks
from penchant_lab.tasks.task import Bench, Task

INSTRUCTIONS = "user_instructions.json"
BEHAVIOURS = "user_history.json"

FUNCTIONS: Mapping[str, str] = {
    "search": "search_product_by_query",
    "recommend": "get_recommendations_by_history",
    "review": "add_product_review",
}
"""The function that an instruction of each type calls for, as the original has it."""

#: Products to choose from, the right one among them.
CANDIDATES = 10

ASK_FUNCTION = f"Which function does this call for? Answer with one of {', '.join(FUNCTIONS.values())}."
ASK_PRODUCT = "Answer with the title of the product that I would buy."
ASK_REVIEW = "Write my review of this product."


@dataclass(frozen=True)
class _Instruction:
    """One row. name: split and position. when: time in milliseconds."""

    name: str
    user: str
    kind: str
    text: str
    when: int
    product: str
    title: str
    category: str
    review: str


@dataclass(frozen=True)
class _Data:
    instructions: list[_Instruction]
    histories: Mapping[str, list[Record]]
    products: Mapping[str, Mapping[str, str]]
    """Titles by product, by category."""


def functions(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every test instruction: the function that it calls for; its type is the category.

    Raises `InputError` for a folder that isn't PersonalWAB, and for a damaged file; so do `products` and `reviews`.
    """
    names = tuple(FUNCTIONS.values())
    return [
        Item(
            one.name,
            history,
            Request(one.text, ASK_FUNCTION),
            FUNCTIONS[one.kind],
            choices=names,
            category=one.kind,
        )
        for one, history in _with_history(_read(path))
    ]


def products(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every test instruction that looks for a product: its title among `CANDIDATES`.

    The seed draws the order and the other candidates: from all products that anybody has bought, of the same main
    category if there are enough. What the user bought before is no candidate, and earlier purchases of the right
    product are left out of the history.
    """
    data = _read(path)
    return [
        Item(
            one.name,
            history,
            Request(one.text, ASK_PRODUCT),
            one.title,
            choices=_candidates(data, one, Random(f"personalwab {seed} {one.name}")),
            category=one.kind,
        )
        for one, history in _with_history(data)
        if one.kind != "review"
    ]


def reviews(path: Path, seed: int = 0) -> list[Item]:
    """Return an item for every test instruction to write a review: the user's own review. The request names the
    product.
    """
    return [
        Item(one.name, history, Request(f"{one.text}\n{one.title}", ASK_REVIEW), one.review, category=one.kind)
        for one, history in _with_history(_read(path))
        if one.kind == "review" and one.review
    ]


def _with_history(data: _Data) -> Iterator[tuple[_Instruction, History]]:
    """Return every instruction with what its user did before, without what gives it away."""
    shared: dict[tuple[str, ...], History] = {}
    for one in data.instructions:
        records = without_leaks(
            [record for record in data.histories[one.user] if record.meta["product"] != one.product],
            texts=[text for text in (one.text, one.title, one.review) if text],
            before=_time(one.when),
        )
        yield one, shared.setdefault((one.user, *(record.id for record in records)), History(records, one.user))


def _candidates(data: _Data, one: _Instruction, random: Random) -> tuple[str, ...]:
    bought = {record.meta["product"] for record in data.histories[one.user]}
    near: set[str] = set()
    far: set[str] = set()
    for category, titles in data.products.items():
        (near if category == one.category else far).update(
            title for product, title in titles.items() if product not in bought and title != one.title
        )
    drawn = random.sample(sorted(near), min(len(near), CANDIDATES - 1))
    rest = sorted(far - near)
    drawn += random.sample(rest, min(len(rest), CANDIDATES - 1 - len(drawn)))
    if not drawn:
        raise InputError(f"{one.name}: no other product to choose from; expected the whole {BEHAVIOURS}")
    return tuple(random.sample([*drawn, one.title], len(drawn) + 1))


def _read(path: Path) -> _Data:
    for name in (INSTRUCTIONS, BEHAVIOURS):
        if not (path / name).is_file():
            raise InputError(f"{path} is no PersonalWAB folder: expected {INSTRUCTIONS} and {BEHAVIOURS} in it")
    products: dict[str, dict[str, str]] = {}
    histories: dict[str, list[Record]] = {}
    for user, told in _object(read_json(path / BEHAVIOURS), BEHAVIOURS).items():
        rows = [row for part in told.values() for row in part] if isinstance(told, Mapping) else told
        if not isinstance(rows, list):
            raise InputError(f"{BEHAVIOURS} user {user}: no list; expected what the user bought")
        histories[user] = _behaviours(rows, f"{BEHAVIOURS} user {user}", products)
    splits = _object(read_json(path / INSTRUCTIONS), INSTRUCTIONS)
    rows = splits.get("test")
    if not isinstance(rows, list):
        raise InputError(f"{INSTRUCTIONS}: no list under 'test'; expected PersonalWAB's instructions")
    instructions = [_instruction(row, f"test/{at}", f"{INSTRUCTIONS} test {at + 1}") for at, row in enumerate(rows)]
    for one in instructions:
        if one.user not in histories:
            raise InputError(f"{INSTRUCTIONS} {one.name}: user {one.user!r} has no history in {BEHAVIOURS}")
    return _Data(instructions, histories, products)


def _behaviours(rows: list[Any], where: str, products: dict[str, dict[str, str]]) -> list[Record]:
    """Return the records of one user, and add their products to those of all users."""
    records: dict[str, Record] = {}
    for at, row in enumerate(rows):
        info, review, location = _parts(row, f"{where} item {at + 1}")
        product, title, category = _product(info, location)
        products.setdefault(category, {})[product] = title
        when = _milliseconds(review.get("timestamp"), location)
        name = f"{product}:{when}"
        records[name] = Record(
            ". ".join(part for part in (title, category) if part),
            id=name,
            reply=_string(review.get("text")) or None,
            label=_rating(review.get("rating"), location),
            when=_time(when),
            kind="purchase",
            meta={"product": product},
        )
    return list(records.values())


def _instruction(row: Any, name: str, where: str) -> _Instruction:
    said = _object(row, where)
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in FUNCTIONS:
        raise InputError(f"{where}: type {str(kind)[:40]!r}; expected one of {', '.join(FUNCTIONS)}")
    text = _string(said.get("task"))
    if not text:
        raise InputError(f"{where}: no instruction under 'task'")
    info, review, _ = _parts(said.get("target"), f"{where} target")
    product, title, category = _product(info, where)
    when = _milliseconds(said.get("timestamp"), where)
    return _Instruction(
        name, str(said.get("user_id")), kind, text, when, product, title, category, _string(review.get("text"))
    )


def _parts(row: Any, where: str) -> tuple[Mapping[str, Any], Mapping[str, Any], str]:
    said = _object(row, where)
    return (
        _object(said.get("product_info"), f"{where} product_info"),
        _object(said.get("review"), f"{where} review"),
        where,
    )


def _product(info: Mapping[str, Any], where: str) -> tuple[str, str, str]:
    """Return number, title and main category."""
    product, title = _string(info.get("parent_asin")), _string(info.get("title"))
    if not product or not title:
        raise InputError(f"{where}: a product without parent_asin or title; expected PersonalWAB's product_info")
    return product, title, _string(info.get("main_category"))


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: no object; expected PersonalWAB's layout")
    return value


def _string(value: Any) -> str:
    return " ".join(str(value).split()) if value is not None else ""


def _rating(value: Any, where: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: rating {str(value)[:40]!r}; expected a number") from None


def _milliseconds(value: Any, where: str) -> int:
    try:
        when = int(value)
        _time(when)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InputError(f"{where}: timestamp {str(value)[:40]!r}; expected milliseconds since 1970") from None
    return when


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _task(name: str, read: Callable[[Path, int], list[Item]], metrics: tuple[str, ...], what: str, **more: Any) -> Task:
    about = f"PersonalWAB: {what} (Cai et al. 2024, arXiv 2410.17236)"
    benches: tuple[Bench, ...] = ("preference",)
    return Task(f"personalwab-{name}", benches, read, metrics, about, budget="200", **more)


FUNCTION_TASK = _task("function", functions, ("accuracy",), "the function that an instruction calls for")
PRODUCT_TASK = _task(
    "product", products, ("accuracy",), "the product a user means, among ten", seeded=True, scoring="mean"
)
REVIEW_TASK = _task("review", reviews, ("rouge1", "rougeL", "meteor"), "the user's own review", max_new_tokens=96)
