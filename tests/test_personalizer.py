"""The whole way through the library, on a tiny model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant import Answer, History, Personalizer, Record, Request, Store
from penchant.compression.budget import count_tokens
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError, ModelError, UnknownUserError
from penchant.inference.recurrence import recurrence
from penchant.models.chat import render_chat
from tests.commands import REQUEST, TEXTS
from tests.index.cases import calibration_of, history_of, lens_of, model_calls, texts


def personalizer_of(store: Store | None = None, **options: Any) -> Personalizer:
    lens = lens_of()
    given = {"marker": "attention", "calibration": calibration_of(lens), **options}
    return Personalizer(lens.loaded, store=store, **given)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def records(count: int, seed: int = 0, first: int = 0) -> list[Record]:
    return [Record(text, id=f"r{first + i}") for i, text in enumerate(texts(count, seed))]


def test_the_three_steps_agree() -> None:
    personalizer, history = personalizer_of(), history_of(TEXTS)
    marks = personalizer.mark(history, REQUEST)
    assert "".join(segment.text for segment in marks.segments).replace(" ", "") == "".join(TEXTS).replace(" ", "")
    profile = personalizer.compress(history, REQUEST, 40)
    of_segment = dict(zip(marks.segments, marks.scores.tolist(), strict=True))
    assert profile.segments
    assert {of_segment[segment] for segment in profile.segments} == set(profile.scores)
    answer = personalizer.ask(history, REQUEST, budget=40, max_tokens=5)
    assert answer.profile is not None
    assert answer.profile.text == profile.text
    prompt = render_chat(personalizer.loaded, answer_messages(profile.text, Request(REQUEST)))
    assert answer.prompt_tokens == count_tokens(personalizer.loaded.tokenizer, prompt)
    assert set(answer.seconds) == {"encode", "mark", "compress", "answer"}
    assert all(value >= 0 for value in answer.seconds.values())


SHARED = personalizer_of()


@settings(max_examples=25)
@given(
    bodies=st.lists(st.text(min_size=1, max_size=60).filter(str.strip), min_size=1, max_size=8),
    budget=st.integers(1, 80) | st.sampled_from(["1%", "2%", "50%", "100%", "1000%"]),
)
def test_no_profile_exceeds_its_budget(bodies: list[str], budget: int | str) -> None:
    history = History([Record(text, id=str(i)) for i, text in enumerate(bodies)], "ann")
    profile = SHARED.compress(history, REQUEST, budget)
    size = count_tokens(SHARED.loaded.tokenizer, profile.text)
    assert size == profile.tokens <= profile.budget
    if isinstance(budget, int):
        assert profile.budget == budget
    else:
        assert profile.budget == max(1, int(float(budget[:-1]) / 100 * profile.history_tokens))


def test_a_second_request_encodes_nothing() -> None:
    personalizer, history = personalizer_of(), history_of(texts(40))
    size = count_tokens(personalizer.loaded.tokenizer, REQUEST)
    cold = personalizer.mark(history, REQUEST)
    assert cold.tokens_fed == cold.history_tokens + size
    assert personalizer.mark(history, REQUEST).tokens_fed == size
    with model_calls(personalizer.resources.lens) as calls:
        personalizer.compress(history, REQUEST, 30)
    prefix = count_tokens(personalizer.loaded.tokenizer, personalizer.resources.calibration.prefix)
    assert sum(calls) == prefix + size


def test_a_stored_user_is_cut_and_laid_out_once_while_nothing_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penchant import histories as module

    personalizer = personalizer_of(store)
    store.add("ann", records(30))
    cut: list[History] = []
    real = module.segment
    monkeypatch.setattr(module, "segment", lambda history, unit: cut.append(history) or real(history, unit))
    first = personalizer.mark("ann", REQUEST)
    assert personalizer.mark("ann", REQUEST).segments == first.segments
    personalizer.compress("ann", "Tuesday?", 20)
    assert len(cut) == 1
    store.add("ann", records(1, seed=5, first=30))
    assert len(personalizer.mark("ann", REQUEST).segments) > len(first.segments)
    assert len(cut) == 2
    for i in range(100):  # histories without a user are remembered too, not for ever
        personalizer.segments(history_of([f"text {i}"], user=""))
    assert len(personalizer._histories._held) <= 64


def test_a_new_record_is_all_that_is_encoded(store: Store) -> None:
    personalizer = personalizer_of(store)
    store.add("ann", records(20))
    before = personalizer.mark("ann", REQUEST)
    new = Record("A new record about long walks by the sea.", id="new")
    store.add("ann", [new])
    after = personalizer.mark("ann", REQUEST)
    tokenizer = personalizer.loaded.tokenizer
    assert after.tokens_fed == count_tokens(tokenizer, new.body) + count_tokens(tokenizer, REQUEST)
    assert after.history_tokens == before.history_tokens + count_tokens(tokenizer, new.body)
    store.add("ann", [Record("Changed.", id="r3")], replace=True)
    changed = personalizer.mark("ann", REQUEST)
    assert changed.tokens_fed == count_tokens(tokenizer, "Changed.") + count_tokens(tokenizer, REQUEST)
    assert "Changed." in [segment.text for segment in changed.segments]
    anew = personalizer_of().mark(store.history("ann"), REQUEST)
    np.testing.assert_allclose(changed.scores, anew.scores, atol=1e-4)


def test_users_never_mix(store: Store) -> None:
    personalizer = personalizer_of(store, marker="fusion")
    own = {user: [f"{user} says {text}" for text in texts(12, seed)] for seed, user in enumerate(("ann", "bob", "cy"))}
    for user, said in own.items():
        store.add(user, [Record(text, id=f"r{i}") for i, text in enumerate(said)])  # the same ids for all
    alone = {user: personalizer_of(marker="fusion").compress(store.history(user), REQUEST, 60).text for user in own}
    for user in ("ann", "bob", "cy", "bob", "ann"):
        profile = personalizer.compress(user, REQUEST, 60)
        assert profile.segments
        assert all(segment.text in own[user][segment.record] for segment in profile.segments)
        assert profile.text == alone[user]
        assert not any(f"{other} says" in profile.text for other in own if other != user)


def test_the_index_lies_in_the_store_and_another_process_reads_it(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add("ann", records(30))
        first = personalizer_of(store).mark("ann", REQUEST)
        assert list(store.index_dir("ann").rglob("*.safetensors"))
    with Store(tmp_path / "store") as store:  # what a new process has: nothing in memory
        second = personalizer_of(store).mark("ann", REQUEST)
        assert second.tokens_fed == first.tokens_fed - first.history_tokens
        np.testing.assert_array_equal(second.scores, first.scores)


def test_a_forgotten_user_is_gone_from_disk_and_is_not_served_from_memory(store: Store, tmp_path: Path) -> None:
    personalizer = personalizer_of(store)
    secret = "The password of the harbour gate is marzipan, and nobody else may ever know it."
    store.add("ann", [Record(secret, id="secret"), *records(5)])
    store.add("bob", records(5, seed=3))
    for user in ("ann", "bob"):
        assert personalizer.compress(user, REQUEST, 50).text
    held = personalizer.resources.indexes.nbytes
    store.forget("ann")
    assert not store.index_dir("ann").exists()
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or b"marzipan" not in path.read_bytes()
    for call in (personalizer.mark, personalizer.compress, personalizer.ask):
        with pytest.raises(UnknownUserError, match="no user 'ann'"):
            call("ann", REQUEST)
    assert personalizer.resources.indexes.nbytes < held
    assert not any(secret in record.body for held in personalizer._histories._held.values() for record in held.history)
    assert not store.index_dir("ann").exists()  # and asking didn't bring it back
    assert personalizer.mark("bob", REQUEST).tokens_fed < 30
    store.add("ann", records(3, seed=9))
    again = personalizer.compress("ann", REQUEST, 200)
    assert "marzipan" not in again.text
    assert len({segment.record for segment in again.segments}) == 3


def test_a_stream_gives_pieces_and_then_the_answer() -> None:
    personalizer, history = personalizer_of(), history_of(TEXTS)
    for options in ({"knowledge": "profile", "budget": 40}, {"knowledge": "none"}, {"knowledge": "full"}):
        *pieces, answer = personalizer.stream(history, REQUEST, max_tokens=12, **options)
        assert isinstance(answer, Answer)
        assert len(pieces) > 1
        assert all(isinstance(piece, str) for piece in pieces)
        assert "".join(pieces).strip() == answer.text
        asked = personalizer.ask(history, REQUEST, max_tokens=12, **options)
        assert (asked.text, asked.prompt_tokens) == (answer.text, answer.prompt_tokens)


def test_temperature_and_seed() -> None:
    personalizer, history = personalizer_of(), history_of(TEXTS)

    def said(**options: Any) -> str:
        *_, answer = personalizer.stream(history, REQUEST, knowledge="none", max_tokens=12, **options)
        assert isinstance(answer, Answer)
        return answer.text

    assert said(temperature=1.5, seed=1) == said(temperature=1.5, seed=1) != said(temperature=1.5, seed=2)


def test_without_knowledge_nothing_of_the_history_is_read() -> None:
    personalizer, history = personalizer_of(), history_of(TEXTS)
    recurrence(personalizer.loaded)  # measured once for each model
    with model_calls(personalizer.resources.lens) as calls:
        answer = personalizer.ask(history, REQUEST, knowledge="none", max_tokens=3)
    assert (answer.profile, answer.dropped_records) == (None, 0)
    assert set(answer.seconds) == {"answer"}
    assert answer.prompt_tokens <= sum(calls) <= answer.prompt_tokens + 2
    unknown = personalizer.ask("anybody", REQUEST, knowledge="none", max_tokens=3)  # nothing is looked up
    assert unknown.text == answer.text


def test_the_full_history_drops_the_oldest_and_no_more_than_it_must(caplog: pytest.LogCaptureFixture) -> None:
    personalizer = personalizer_of()
    history = history_of([f"({i}) {text}" for i, text in enumerate(TEXTS * 10)])
    answer = personalizer.ask(history, REQUEST, knowledge="full", max_tokens=8)
    dropped = answer.dropped_records
    assert 0 < dropped < len(history)
    assert not caplog.records  # no warning about a sequence that is too long: it is only being counted

    def size(first: int) -> int:
        notes = "Undated:\n" + "\n".join(record.body for record in history.records[first:])
        prompt = render_chat(personalizer.loaded, answer_messages(notes, Request(REQUEST)))
        return count_tokens(personalizer.loaded.tokenizer, prompt)

    assert answer.prompt_tokens == pytest.approx(size(dropped), abs=8)  # undated records have no header
    assert answer.prompt_tokens + 8 <= personalizer.loaded.window < size(dropped - 1) + 8
    short = personalizer.ask(history_of(TEXTS[:2]), REQUEST, knowledge="full", max_tokens=8)
    assert short.dropped_records == 0


def test_a_task_is_part_of_the_prompt() -> None:
    personalizer, history = personalizer_of(), history_of(TEXTS)
    short = personalizer.ask(history, Request("A walk.", "Write a title."), budget=20, max_tokens=1)
    long = personalizer.ask(history, Request("A walk.", "Write a title. " * 5), budget=20, max_tokens=1)
    extra = count_tokens(personalizer.loaded.tokenizer, " Write a title." * 4)
    assert long.prompt_tokens == pytest.approx(short.prompt_tokens + extra, abs=3)


def test_the_rewriting_compressor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model can't write; what it is asked and what becomes of a good answer can be seen all the same."""
    asked: list[str] = []

    def generate(loaded: object, prompt: str, **_: object) -> Iterator[str]:
        asked.append(prompt)
        yield from ("I am allergic to peanuts", " and I like long walks by the sea.")

    personalizer, history = personalizer_of(compressor="rewriting"), history_of(TEXTS[:2])
    nonsense = personalizer.compress(history, REQUEST, 60)
    assert (nonsense.compressor, nonsense.fallback) == ("rewriting", True)
    assert nonsense.tokens <= 60
    monkeypatch.setattr("penchant.inference.generation.generate_stream", generate)
    rewritten = personalizer_of(compressor="rewriting", options={"min_coverage": 0.2}).compress(history, REQUEST, 60)
    assert "allergic to peanuts" in asked[0]
    assert (rewritten.fallback, rewritten.reason) == (False, None)
    assert rewritten.text == "I am allergic to peanuts and I like long walks by the sea."


def test_int8_keys_and_a_byte_limit(store: Store) -> None:
    store.add("ann", records(30))
    native, small = personalizer_of(store), personalizer_of(store, storage="int8")
    marks, rounded = native.mark("ann", REQUEST), small.mark("ann", REQUEST)
    assert small.resources.indexes.nbytes < 0.5 * native.resources.indexes.nbytes
    assert np.corrcoef(marks.scores, rounded.scores)[0, 1] > 0.98
    tight = personalizer_of(store, index_limit=1)
    store.add("bob", records(5, seed=4))
    for user in ("ann", "bob"):
        tight.mark(user, REQUEST)
    assert tight.resources.indexes.nbytes < native.resources.indexes.nbytes
    np.testing.assert_array_equal(tight.mark("ann", REQUEST).scores, marks.scores)


def test_progress_counts_what_is_encoded() -> None:
    seen: list[tuple[int, int | None]] = []
    personalizer = personalizer_of(progress=lambda step, done, total: seen.append((done, total)))
    personalizer.mark(history_of(texts(7)), REQUEST)
    assert seen == [(i, 7) for i in range(1, 8)]
    personalizer.mark(history_of(texts(7)), REQUEST)
    assert len(seen) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"marker": "atention"}, "no marker 'atention': expected one of fusion"),
        ({"compressor": "zip"}, "no compressor 'zip': expected one of extractive"),
        ({"compressor": "remote"}, "needs base_url, endpoint_model"),
        ({"options": {"budjet": 20}}, "compressor 'extractive' has no option 'budjet'"),
        (
            {"options": {"base_url": "http://x"}},
            "compressor 'extractive' has no option 'base_url': its options are",
        ),
        ({"options": {"endpoint_model": "m"}}, "has no option 'endpoint_model'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        personalizer_of(**options)


def test_bad_calls(tmp_path: Path) -> None:
    personalizer = personalizer_of()
    with pytest.raises(InputError, match="fit_steering has no option 'halflife': its options are pairs"):
        personalizer.fit_steering("ann", halflife=3)
    with pytest.raises(InputError, match="conversation has no option 'note': its options are memory"):
        personalizer.conversation("ann", note=0.5)
    with pytest.raises(InputError, match="memory 'recent-5' has no option 'rule': its options are count"):
        personalizer.conversation(memory="recent-5", memory_options={"rule": "filled"})
    with pytest.raises(InputError, match="detector 'patterns' has no option 'sure': it takes no options"):
        personalizer.conversation(detector="patterns", detector_options={"sure": True})
    history = history_of(TEXTS)
    with pytest.raises(InputError, match="the history is empty: expected at least one record"):
        personalizer.mark(History([], "ann"), REQUEST)
    with pytest.raises(InputError, match="no store to look up user 'ann'"):
        personalizer.ask("ann", REQUEST)
    with pytest.raises(InputError, match="knowledge 'profil': expected one of profile, full, none"):
        personalizer.ask(history, REQUEST, knowledge="profil")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the request is empty"):
        personalizer.compress(history, "  ", 20)
    with pytest.raises(ModelError, match="does not exist"):
        Personalizer(tmp_path / "none")
    lens = lens_of()
    with pytest.raises(ModelError, match=r"reads head 9\.0"):
        personalizer_of(calibration=calibration_of(lens, heads=((9, 0),), weights=(1.0,)))


def test_a_greeting_gets_no_profile(store: Store) -> None:
    store.add("ann", records(4))
    personalizer = personalizer_of(store)
    with model_calls(personalizer.resources.lens) as calls:
        profile = personalizer.compress("ann", "Hi again!")
    assert (profile.text, profile.tokens, profile.segments, calls) == ("", 0, (), [])
    assert profile.reason is not None and "asks nothing" in profile.reason
    assert personalizer.ask("ann", "Hi again!", max_tokens=2).profile == profile
    assert personalizer.compress("ann", Request("Hi again!", task="Write as I would.")).tokens
    with pytest.raises(UnknownUserError):
        personalizer.compress("nobody", "Hi!")
    conversation = personalizer.conversation("ann")
    assert conversation.context("Where do I walk?").notes is not None
    assert conversation.context("Hi again!").notes is None
