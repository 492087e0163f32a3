"""Steering as methods of the bench: controls, what is fitted on what, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from penchant.errors import InputError
from penchant.evaluation.held_out import newest_held_out
from penchant.evaluation.items import Item, Part, part_of
from penchant.evaluation.leaks import leaks
from penchant.evaluation.methods import steered
from penchant.evaluation.methods.method import Method, Notes
from penchant.evaluation.methods.registry import Kit, check_names, make_method
from penchant.evaluation.methods.steered import Steering
from penchant.evaluation.methods.writing import Name, parse_steered
from penchant.evaluation.speed.measure import counting
from penchant.evaluation.tasks.task import Task
from penchant.history.records import History, Record, Request
from penchant.history.segmentation import segment
from penchant.steering.bank import Bank
from penchant.steering.bank_file import bank_bytes
from penchant.steering.donors import Donors
from penchant.steering.intervention import Intervention
from penchant.steering.methods.registry import VECTOR_METHODS
from tests.families import tiny

ASK = "Reply:"
PLACES = ["sea", "hill", "lake", "wood", "town", "farm", "mill", "cave", "dune", "pond"]
SHARED = Record("What two of us wrote on the cave of the dune.", reply="A title that two of us have in common")


def _names(part: Part, count: int) -> list[str]:
    names = (f"user{number}" for number in range(1000))
    return [name for name in names if part_of(name) == part][:count]


TEST, TUNE = _names("test", 3), _names("tune", 4)


def _record(user: str, number: int, seed: int = 0) -> Record:
    place = PLACES[number % len(PLACES)]
    reply = f"{user} says {place}" if seed == 0 else f"{place}, wrote {user} in {seed}"
    return Record(f"Of the {place} at {number} in the day of {user}?", f"{user}-{number}", reply=reply)


def read(path: Path, seed: int, drawn: int = 0, users: Sequence[str] = (*TEST, *TUNE)) -> list[Item]:
    """One question a user; the first user of both parts has a record in common with the first that is asked."""
    made = []
    for user in users:
        records = [_record(user, number, drawn) for number in range(8)]
        if user == TUNE[0]:
            records.insert(3, replace(SHARED, id="both"))
        if user == TEST[0]:
            records.append(replace(SHARED, id="mine"))
        asked = Request(f"And what of the valley, {user}, if anything at all?", ASK)
        made.append(Item(f"{user}/q", History(records, user), asked, f"{user} says no to the valley"))
    return made


TASK = Task("letters", ("steer",), read, ("rouge1",), "for tests", max_new_tokens=4, unit="record", budget="30%")
LOADED = tiny("llama", layers=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples, short answers, and few choices to try."""
    monkeypatch.setattr(steered, "PAIRS", 3)
    monkeypatch.setattr(steered, "Recipe", partial(steered.Recipe, tries=1, max_new_tokens=3))
    few = {
        name: replace(method, layers=(0.5,), strengths=method.strengths[:1], aggregations=method.aggregations[:1])
        for name, method in VECTOR_METHODS.items()
    }
    for name, method in few.items():
        monkeypatch.setitem(VECTOR_METHODS, name, method)


def asked(seeds: Sequence[int] = (0,), task: Task = TASK) -> dict[int, list[Item]]:
    return {seed: newest_held_out(task.items(Path(), "test", seed), 2) for seed in seeds}


def shared(cache: Path, seeds: Sequence[int] = (0, 1), task: Task = TASK) -> Steering:
    return Steering(LOADED, task, Path(), asked(seeds, task), cache)


def kit(steering: Steering) -> Kit:
    made = Kit(steering.loaded, steering.task, steering.data, 4, items=steering.items)
    made.__dict__["steering"] = steering
    return made


def method(name: str, steering: Steering) -> Method:
    return make_method(name, kit(steering))


def ask(made: Method, item: Item, seed: int = 0, budget: int = 60) -> Notes:
    with made.open(item.history, segment(item.history, "record"), seed) as session:
        return session.notes(item, budget)


def same(one: Intervention | None, other: Intervention | None) -> bool:
    if one is None or other is None:
        return one is other
    adds = [(edit.add, other.edits[site].add) for site, edit in one.edits.items() if site in other.edits]
    whole = one.edits.keys() == other.edits.keys() and one.scope == other.scope
    return whole and all(a is not None and b is not None and torch.equal(a, b) for a, b in adds)


@contextmanager
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A random model is helped by nothing: every check says that the user's own vectors do."""
    with monkeypatch.context() as patch:
        patch.setattr(steered, "check_user", lambda *args, **options: steered.Checked("own", 1.0))
        strong = steered.fit_setting

        def fitted(*args: object, **options: object) -> object:
            return replace(strong(*args, **options), strength=1.0)  # type: ignore[arg-type]

        patch.setattr(steered, "fit_setting", fitted)
        yield


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with trusting(monkeypatch):
        yield


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


@pytest.mark.parametrize(
    ("name", "seeded", "budgeted"),
    [
        ("population", False, False),
        ("ascent", False, False),
        ("fints", True, False),  # its contrasts are drawn
        ("ascent@other", True, False),
        ("ascent@random", True, False),
        ("ascent+bm25", False, True),
        ("ascent+random", True, True),
        ("ascent+none", False, False),
    ],
)
def test_what_is_run_for_every_seed_and_budget(name: str, seeded: bool, budgeted: bool, tmp_path: Path) -> None:
    made = method(name, shared(tmp_path))
    assert (made.name, made.seeded, made.budgeted) == (name, seeded, budgeted)
    assert "another user's" in made.about or "@other" not in name
    assert "random vectors" in made.about or "@random" not in name
    assert f"notes by {name.partition('+')[2]}" in made.about or "+" not in name


def test_tuning_users_hold_nothing_that_is_asked_and_are_asked_nothing(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    questions = [item for some in steering.items.values() for item in some]
    assert SHARED.reply in [item.answer for item in questions]  # a paper of two authors
    assert list(steering.tuning) == sorted(TUNE)
    assert not {item.user for item in questions} & steering.tuning.keys()
    for user, records in steering.tuning.items():
        assert len(records) == 8 and "both" not in [record.id for record in records]
        for item in questions:
            assert leaks(replace(item, history=History(records, user))) == []


def test_users_who_are_asked_are_not_fitted_on(tmp_path: Path) -> None:
    everyone = newest_held_out(TASK.items(Path(), "all"), 2)
    some = [item for item in everyone if item.user in (*TEST, TUNE[0])]
    assert list(Steering(LOADED, TASK, Path(), {0: some}, tmp_path).tuning) == sorted(TUNE[1:])
    with pytest.raises(InputError, match="no user of the tuning part is left"):
        _ = Steering(LOADED, TASK, Path(), {0: everyone}, tmp_path).tuning


def test_at_most_so_many_tuning_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)
    first, again = (list(shared(tmp_path).tuning) for _ in range(2))
    assert len(first) == 2 and first == again and set(first) < set(TUNE)


@pytest.mark.parametrize("name", ["ascent", "caa"])
def test_settings_are_fitted_on_tuning_users_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = dict[str, list[str]]()

    def fit(loaded: object, which: object, samples: dict[str, list[steered.Sample]], wording: object) -> object:
        seen.update({user: [sample.record for sample in some] for user, some in samples.items()})
        return fitting(loaded, which, samples, wording)  # type: ignore[arg-type]

    fitting = steered.fit_setting
    monkeypatch.setattr(steered, "fit_setting", fit)
    shared(tmp_path).setting(name)
    assert set(seen) == set(TUNE)
    assert "both" not in [record for some in seen.values() for record in some]


def test_donors_of_contrasts_are_tuning_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[set[str]]()

    def donors(others: dict[str, list[Record]]) -> Donors:
        given.append(set(others))
        return Donors(others)

    monkeypatch.setattr(steered, "Donors", donors)
    steering = shared(tmp_path)
    steering.samples("caa", steering.items[0][0].history, 0)
    steering.samples("caa", History(steering.tuning[TUNE[1]], TUNE[1]), 0)
    assert given == [set(TUNE), set(TUNE) - {TUNE[1]}]


@pytest.mark.usefixtures("trusted")
def test_a_bank_is_of_the_users_own_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path)
    for item in steering.items[0]:
        notes = ask(method("ascent", steering), item)
        bank = used.pop()
        assert {row.record.partition("-")[0] for row in bank.rows} == {item.user}
        assert {row.record for row in bank.rows} <= {record.id for record in item.history}
        assert notes.intervention is not None and notes.text is None and not notes.fallback
        assert notes.intervention.rows == 1


@pytest.mark.parametrize("name", ["fints", "fints-prompt", "user-mean"])
def test_methods_of_contrasts_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)
    with trusting(monkeypatch):
        steering = shared(tmp_path)
        notes = ask(method(name, steering), steering.items[0][0])
    assert notes.intervention is not None and not notes.fallback


@pytest.mark.usefixtures("trusted")
def test_other_is_always_another_users_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path, range(4))
    made = method("ascent@other", steering)
    whose: dict[str, set[str]] = {}
    for seed in steering.items:
        for item in steering.items[seed]:
            first = ask(made, item, seed).intervention
            (user,) = {row.record.partition("-")[0] for row in used.pop().rows}
            whose.setdefault(item.user, set()).add(user)
            assert same(ask(made, item, seed).intervention, first)
            assert not same(ask(method("ascent", steering), item, seed).intervention, first)
    assert whose[TEST[1]] == set(TEST) - {TEST[1]}  # another one for another seed
    assert all(user not in others <= set(TEST) for user, others in whose.items())


def test_who_stands_in_is_decided_by_the_seed_and_was_asked_nothing_of_the_same(tmp_path: Path) -> None:
    steering = shared(tmp_path, range(8))
    chosen = [steering.another(TEST[2], seed).user for seed in range(8)]
    assert chosen == [shared(tmp_path, range(8)).another(TEST[2], seed).user for seed in range(8)]
    assert set(chosen) == set(TEST[:2])
    # The second user's history now holds what the third is asked.
    items = [item for item in steering.items[0] if item.user != TEST[1]]
    mine = next(item for item in items if item.user == TEST[2])
    leaking = History([*(_record(TEST[1], n) for n in range(6)), Record("So?", "x", reply=mine.answer)], TEST[1])
    items.append(Item("x", leaking, Request("Anything?", ASK), "Nothing"))
    only = Steering(LOADED, TASK, Path(), dict.fromkeys(range(8), items), tmp_path)
    assert {only.another(TEST[2], seed).user for seed in range(8)} == {TEST[0]}
    alone = Steering(LOADED, TASK, Path(), {0: [mine]}, tmp_path)
    with pytest.raises(InputError, match="@other needs a second user"):
        alone.another(TEST[2], 0)


@pytest.mark.usefixtures("trusted")
def test_random_vectors_have_the_same_lengths(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    own, drawn = method("ascent", steering), method("ascent@random", steering)
    first, second = steering.items[0][:2]
    true = ask(own, first).intervention
    by_seed = [ask(drawn, first, seed).intervention for seed in (0, 1, 0)]
    assert true is not None and all(one is not None for one in by_seed)
    assert same(by_seed[0], by_seed[2]) and not same(by_seed[0], by_seed[1])
    assert not same(by_seed[0], ask(drawn, second).intervention)
    for one in by_seed[:2]:
        assert one is not None and one.scope == true.scope and one.edits.keys() == true.edits.keys()
        for site, edit in one.edits.items():
            theirs = true.edits[site].add
            assert edit.add is not None and theirs is not None
            assert torch.allclose(edit.add.norm(dim=1), theirs.norm(dim=1), rtol=1e-5)
            assert torch.cosine_similarity(edit.add, theirs).abs().max() < 0.5


def test_the_population_is_the_same_for_all(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    made = method("population", steering)
    found = [ask(made, item, seed).intervention for seed in (0, 1) for item in steering.items[seed]]
    assert found[0] is not None and all(same(one, found[0]) for one in found)
    assert same(found[0], steering.setting("ascent").common())
    assert not any((tmp_path / "contrasts").rglob("*"))


@pytest.mark.usefixtures("trusted")
def test_notes_and_vectors_reach_the_prompt_together(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    item = steering.items[0][0]
    plain, vectors, both = (ask(method(name, steering), item) for name in ("recency", "ascent", "ascent+recency"))
    assert both.text == plain.text and plain.text
    assert (both.tokens, both.segments) == (plain.tokens, plain.segments)
    assert plain.intervention is None and vectors.text is None
    assert same(both.intervention, vectors.intervention) and both.intervention is not None


class Told:
    """Notes of a method that keeps something and fell back."""

    def notes(self, item: Item, budget: int) -> Notes:
        return Notes("told", 1, tokens_fed=5, seconds=2.0, fallback=True)

    def stored_bytes(self) -> int:
        return 1000


def test_what_notes_cost_is_added(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    below = Method("told", lambda history, segments, seed: nullcontext(Told()), "for tests")
    item = steering.items[0][0]
    for name in ("ascent", "ascent@other", "population"):
        found = []
        for notes in (None, below):
            made = steered.steered_method(Name(name.partition("@")[0], name.partition("@")[2]), steering, notes)
            with made.open(item.history, segment(item.history, "record"), 0) as session:
                found.append((session.notes(item, 60), session.stored_bytes()))
        (alone, bare), (both, whole) = found
        bank = steering.bank("ascent", item.history, 0)[0]
        assert bank is not None
        assert bare == (0 if name == "population" else bank_bytes(bank))
        assert whole == bare + 1000
        assert both.text == "told" and both.fallback and both.seconds > 2 > alone.seconds
        assert both.tokens_fed == 5 + (len_read(steering, item) if name != "population" else 0)


def len_read(steering: Steering, item: Item) -> int:
    with counting(steering.loaded.model) as fed:
        ask(method("ascent", steering), item)
    return fed.tokens


def test_fitting_is_not_taken_for_the_cost_of_a_user(tmp_path: Path) -> None:
    steering = shared(tmp_path)
    with counting(steering.loaded.model) as fed:
        notes = ask(method("ascent", steering), steering.items[0][0])
    assert 0 < notes.tokens_fed < fed.tokens / 3


@pytest.mark.parametrize(("checked", "fallback"), [("own", False), ("population", True), ("none", True)])
def test_it_says_when_a_users_vectors_are_not_used(
    checked: str, fallback: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steered, "check_user", lambda *args, **options: steered.Checked(checked))  # type: ignore[arg-type]
    steering = shared(tmp_path)
    item = steering.items[0][0]
    for name in ("ascent", "ascent@other", "ascent@random"):
        notes = ask(method(name, steering), item)
        assert notes.fallback == fallback
        assert (notes.intervention is None) == (checked == "none")
        if checked == "population":
            assert same(notes.intervention, steering.setting("ascent").common()) == (name != "ascent@random")
    assert not ask(method("population", steering), item).fallback


def test_the_check_of_another_users_bank_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steering = shared(tmp_path)
    item = steering.items[0][0]

    def check(loaded: object, setting: object, samples: object, bank: Bank, *, wording: object) -> steered.Checked:
        mine = bank.rows[0].record.startswith(f"{item.user}-")
        return steered.Checked("population" if mine else "own")

    monkeypatch.setattr(steered, "check_user", check)
    notes = ask(method("ascent@other", steering), item)
    assert notes.fallback and same(notes.intervention, steering.setting("ascent").common())


@pytest.mark.parametrize("name", ["ascent", "caa", "ascent@other", "ascent+recency"])
def test_a_user_without_replies_gets_the_population(name: str, tmp_path: Path) -> None:
    steering = shared(tmp_path)
    bare = History([Record("The kettle is new.", "a"), Record("The bus was late.", "b")], "warm-up")
    item = Item("warm-up", bare, Request("What is new?"), "The kettle.")
    notes = ask(method(name, steering), item)
    assert notes.fallback == (name != "ascent@other")
    if name == "ascent":
        assert same(notes.intervention, steering.setting("ascent").common())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often settings were fitted and answers generated."""
    from penchant.steering import making

    made = {"settings": 0, "answers": 0}
    fit, generate = steered.fit_setting, making.generate

    def fitting(*args: object, **options: object) -> object:
        made["settings"] += 1
        return fit(*args, **options)  # type: ignore[arg-type]

    def generating(loaded: object, starts: Sequence[object], *more: object) -> object:
        made["answers"] += len(starts)
        return generate(loaded, starts, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(steered, "fit_setting", fitting)
    monkeypatch.setattr(making, "generate", generating)
    return made


SEEDED = replace(TASK, seeded=True, read=lambda path, seed: read(path, seed, seed))


@pytest.mark.parametrize("task", [TASK, SEEDED], ids=["same texts", "texts by seed"])
def test_a_second_run_makes_nothing_anew(
    task: Task, tmp_path: Path, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steered, "FIT_USERS", 2)

    def run(cache: Path) -> list[Intervention | None]:
        steering = shared(cache, (0, 1), task)
        found = []
        for name in ("caa", "user-mean"):  # as the bench does: all seeds of one method, then the next
            for seed in (0, 1):
                found += [ask(method(name, steering), item, seed).intervention for item in steering.items[seed][:2]]
        return found

    first = run(tmp_path / "one")
    made = dict(counted)
    assert made["settings"] == 2 and made["answers"] > 0
    assert all(map(same, run(tmp_path / "one"), first))
    assert counted == made
    again = run(tmp_path / "two")  # elsewhere everything is made again, and comes out the same
    assert all(map(same, again, first))
    assert counted == {name: 2 * count for name, count in made.items()}
    assert any(one is not None for one in first)


def test_settings_are_of_what_they_were_fitted_on(tmp_path: Path, counted: dict[str, int]) -> None:
    shared(tmp_path).setting("ascent")

    def changed(path: Path, seed: int) -> list[Item]:
        """Another text under the same id."""
        items = read(path, seed)
        for place, item in enumerate(items):
            if item.user == TUNE[1]:
                first = replace(item.history.records[0], reply="quite another one")
                items[place] = replace(item, history=History([first, *item.history.records[1:]], item.user))
        return items

    shared(tmp_path, task=replace(TASK, read=changed)).setting("ascent")
    assert counted["settings"] == 2
    shared(tmp_path, task=replace(TASK, name="other")).setting("ascent")
    assert counted["settings"] == 3
    shared(tmp_path).setting("ascent")
    assert counted["settings"] == 3
    second = shared(tmp_path)
    second.loaded = tiny("qwen3", layers=3)
    second.setting("ascent")
    assert counted["settings"] == 4


def test_contrasts_of_another_seed_are_others(tmp_path: Path, counted: dict[str, int]) -> None:
    steering = shared(tmp_path)
    history = steering.items[0][0].history
    first, second = (steering.samples("caa", history, seed) for seed in (0, 1))
    assert {one.donors for one in first} != {one.donors for one in second}  # type: ignore[union-attr]
    assert {one.record for one in first} <= {record.id for record in history}
    banks = [steering.bank("caa", history, seed)[0] for seed in (0, 1)]
    assert banks[0] is not None and banks[1] is not None and banks[0].rows != banks[1].rows
    made = counted["answers"]
    assert steering.samples("caa", history, 0) == first and counted["answers"] == made


def test_a_user_of_another_task_is_another_one(tmp_path: Path, counted: dict[str, int]) -> None:
    """LaMP's tasks number users and records alike: what one task keeps, the other must not take away."""
    one, two = (
        shared(tmp_path),
        shared(tmp_path, task=replace(TASK, name="others", read=lambda path, seed: read(path, 1))),
    )
    for steering in (one, two):
        steering.samples("caa", steering.items[0][0].history, 0)
    made = counted["answers"]
    one.samples("caa", one.items[0][0].history, 0)
    assert counted["answers"] == made


@pytest.mark.usefixtures("trusted")
def test_another_seed_of_a_task_that_draws_has_its_own_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = traced(monkeypatch)
    steering = shared(tmp_path, task=SEEDED)
    wanted = []
    for seed in (0, 1):
        item = steering.items[seed][0]
        ask(method("ascent", steering), item, seed)
        wanted.append([row.contrast for row in used.pop().rows])
    assert wanted[0] != wanted[1]
    unseeded = shared(tmp_path)
    first = unseeded.bank("ascent", unseeded.items[0][0].history, 0)
    assert unseeded.bank("ascent", unseeded.items[1][0].history, 1) is first


def traced(monkeypatch: pytest.MonkeyPatch) -> list[Bank]:
    """The bank of each request, as it comes."""
    used: list[Bank] = []
    steer = steered.steer_request

    def tracing(loaded: object, setting: object, bank: Bank, *more: object, **options: object) -> object:
        used.append(bank)
        return steer(loaded, setting, bank, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(steered, "steer_request", tracing)
    return used
