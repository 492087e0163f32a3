"""Batches over many users: the results of single calls, in shared forward passes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from penchant import Answer, History, Personalizer, Profile, Store
from penchant.errors import InputError
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.recurrence import recurrence
from penchant.inference.sites import Site
from penchant.models.loading import wrap_model
from penchant.steering.apply.context import Steering
from tests.families import tiny_network, tiny_tokenizer
from tests.index.cases import calibration_of, lens_of, model_calls, texts

ASKED = [
    ("ann", "What do I like?"),
    ("bob", "Where did we walk on Tuesday, and who brought the report?"),
    ("ann", "When?"),
    ("cat", "What do I like?"),
]


@pytest.fixture
def personalizer(tmp_path: Path) -> Iterator[Personalizer]:
    lens = lens_of()
    with Store(tmp_path / "store") as store:
        for seed, user in enumerate(("ann", "bob", "cat")):
            store.add(user, texts(6 + 3 * seed, seed))
        yield Personalizer(lens.loaded, store=store, marker="attention", calibration=calibration_of(lens))


def plain(profile: Profile) -> tuple[Any, ...]:
    return profile.text, profile.tokens, profile.budget, profile.segments


def same(one: Answer, other: Answer) -> bool:
    """Up to the rounding of marks, which are the weights of emphasis."""
    for name in ("text", "prompt_tokens", "dropped_records", "finish", "reasoning"):
        assert getattr(one, name) == getattr(other, name), name
    assert (one.profile is None) == (other.profile is None)
    assert one.profile is None or plain(one.profile) == plain(other.profile)  # type: ignore[arg-type]
    assert (one.steering and one.steering.level) == (other.steering and other.steering.level)
    return one.seconds.keys() == other.seconds.keys()


def test_compressing_many_is_compressing_each(personalizer: Personalizer) -> None:
    each = [personalizer.compress(who, request, 30) for who, request in ASKED]
    seen: list[tuple[str, int, int | None]] = []
    with model_calls(personalizer.resources.lens) as calls:
        many = personalizer.compress_many(ASKED, 30, progress=lambda *step: seen.append(step))
    assert list(map(plain, many)) == list(map(plain, each))
    assert len(calls) == 1  # all requests in one pass
    assert seen == [("compressing", number, 4) for number in range(1, 5)]
    assert personalizer.compress_many([]) == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"knowledge": "full"},
        {"knowledge": "none"},
        {"temperature": 0.9, "seed": 7},
        {"steer": "emphasis", "budget": 40},
    ],
    ids=str,
)
def test_asking_many_is_asking_each(personalizer: Personalizer, options: dict[str, Any]) -> None:
    options = {"budget": 30, "max_tokens": 6, **options}
    each = [personalizer.ask(who, request, **options) for who, request in ASKED]
    assert len({one.text for one in each}) > 1
    steps: list[str] = []
    with model_calls(personalizer.resources.lens) as calls:
        many = personalizer.ask_many(ASKED, progress=lambda step, done, total: steps.append(step), **options)
    assert all(same(one, other) for one, other in zip(many, each, strict=True))
    # Six steps at most for all four together, the passes over requests and a prefill besides.
    assert len(calls) <= 6 + 4
    assert {"preparing", "answering"} == set(steps)


def test_each_row_has_its_own_vectors(personalizer: Personalizer) -> None:
    """Fitted steering is each user's own; one given intervention is everybody's."""
    width = personalizer.loaded.hidden_size
    loud = Intervention({Site(1, "block"): Edit(torch.ones(1, width) * 40)}, "last_1")
    each = [personalizer.ask(who, request, steer=loud, knowledge="none", max_tokens=6) for who, request in ASKED]
    many = personalizer.ask_many(ASKED, steer=loud, knowledge="none", max_tokens=6)
    assert [one.text for one in many] == [one.text for one in each]
    assert many[0].steering is not None and many[0].steering.level == "given"
    free = personalizer.ask_many(ASKED, knowledge="none", max_tokens=6)
    assert [one.text for one in free] != [one.text for one in many]

    by_user = dict.fromkeys(("ann", "bob", "cat"), personalizer.steered)
    signs = dict(zip(by_user, (40.0, -40.0, 0.0), strict=True))

    def own(who: Any, request: Any, method: str = "x") -> Steering:
        user = who if isinstance(who, str) else who.user
        edit = Intervention({Site(1, "block"): Edit(torch.ones(1, width) * signs[user])}, "last_1")
        return Steering.given(edit)

    personalizer.steered = own  # type: ignore[method-assign]
    each = [personalizer.ask(who, request, steer="x", knowledge="none", max_tokens=6) for who, request in ASKED]
    many = personalizer.ask_many(ASKED, steer="x", knowledge="none", max_tokens=6)
    assert [one.text for one in many] == [one.text for one in each]
    assert many[0].text != many[3].text  # the same question, other vectors


def test_a_model_that_reads_no_padding_answers_all_the_same() -> None:
    loaded = wrap_model(tiny_network("recurrent_gemma"), tiny_tokenizer(), "recurrent")
    able = recurrence(loaded)
    assert able is not None and not able.padding
    made = Personalizer(loaded, marker="recency")
    asked = [(texts(3, seed), "What?" if seed else "What do I like, and when?") for seed in range(3)]
    each = [made.ask(who, request, budget=20, max_tokens=4, temperature=0) for who, request in asked]
    many = made.ask_many(asked, budget=20, max_tokens=4, temperature=0)
    assert [one.text for one in many] == [one.text for one in each]


def test_bad_pairs(personalizer: Personalizer) -> None:
    for asked in ([("ann",)], ["ann"], [5], [["ann", "What?"]]):
        with pytest.raises(InputError, match=r"item 1 .* is no pair: expected \(user or history, request\)"):
            personalizer.ask_many(asked)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no user 'noor'"):
        personalizer.compress_many([*ASKED, ("noor", "What?")])
    with pytest.raises(InputError, match="the request is empty"):
        personalizer.ask_many([("ann", " ")])
    with pytest.raises(InputError, match="the request has"):
        personalizer.compress_many([("ann", "word " * 2000)])
    assert personalizer.compress_many([(History(["a b c"]), "What?")], 20)[0].tokens <= 20
