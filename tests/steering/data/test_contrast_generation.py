"""Making contrasts: what the model writes is kept, tried again or dropped; nothing is made twice; an interrupted run
goes on."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from penchant.errors import InputError
from penchant.history.records import History, Record, Request
from penchant.inference.generation import Generated
from penchant.models.chat import render_chat
from penchant.steering.data import contrast_generation
from penchant.steering.data.contrast import Contrast
from penchant.steering.data.contrast_file import AREA, ContrastFile, Dropped
from penchant.steering.data.contrast_generation import (
    EMPTY,
    EQUAL,
    NO_DONORS,
    NO_ROOM,
    TOO_CLOSE,
    Recipe,
    generate_contrasts,
)
from penchant.steering.data.pairs import Donors, own_pairs
from penchant.store import Store
from penchant.store.erasure.lineage import source_of
from tests.families import tiny

LOADED = tiny("llama")


def prompt(notes, request):
    asked = f"{request.task or ''} {request.query}"
    return render_chat(LOADED, [{"role": "user", "content": f"{notes} {asked}" if notes else asked}])


def history(user, count=6):
    return History(
        [Record(f"text {user} {n}", id=f"{user}{n}", reply=f"word{n} of {user}") for n in range(count)], user
    )


PAIRS = own_pairs(history("bob"))
DONORS = Donors({user: history(user, 3) for user in ("ann", "cem", "dee")})


class Script:
    """Stands in for the model: answers by the request's number and the try, and sees every batch."""

    def __init__(self, monkeypatch, answer):
        self.answer, self.batches, self.prompts = answer, [], []
        monkeypatch.setattr(contrast_generation, "generate", self)

    def __call__(self, loaded, starts):
        self.batches.append(len(starts))
        texts = []
        for start in starts:
            assert bool(start.sampling.temperature) == (start.sampling.seed is not None)
            written = str(loaded.tokenizer.decode(start.ids))
            self.prompts.append(written)
            number = int(written.split("text bob ")[1][0])
            seed = start.sampling.seed
            texts.append(Generated(self.answer(number, 1 if seed is None else int(seed[-1])), "stop"))
        return texts


@pytest.fixture
def file(tmp_path):
    return ContrastFile(tmp_path, "bob")


def make(file, pairs=PAIRS, **options):
    options.setdefault("recipe", Recipe(k=2, item_words=5))
    return generate_contrasts(LOADED, pairs, file, prompt, donors=DONORS, **options)


def test_a_real_run_is_the_same_in_any_batch_and_with_the_same_seed(tmp_path):
    def run(name, rows, **recipe):
        made = make(ContrastFile(tmp_path / name, "bob"), rows=rows, recipe=Recipe(k=2, item_words=5, **recipe))
        return {c.record: (c.rejected, c.donors) for c in made.contrasts}

    settings = {"max_new_tokens": 4}
    first = run("a", 16, **settings)
    assert len(first) == 6
    assert first == run("b", 1, **settings)
    assert {record: donors for record, (_, donors) in run("c", 16, **settings, seed=1).items()} != {
        record: donors for record, (_, donors) in first.items()
    }


def test_what_is_made_says_where_it_is_from(file, monkeypatch):
    script = Script(monkeypatch, lambda number, attempt: f"quite different {number}")
    made = make(file)
    assert [c.record for c in made.contrasts] == [pair.record for pair in PAIRS]
    assert (made.new, made.dropped, made.withdrawn) == (6, Counter(), 0)
    names = {str(source_of(user, f"{user}{n}")): (user, n) for user in ("ann", "cem", "dee") for n in range(3)}
    for contrast, pair in zip(made.contrasts, PAIRS, strict=True):
        assert (contrast.request, contrast.chosen, contrast.when) == (pair.request, pair.answer, pair.when)
        assert contrast.rejected == f"quite different {contrast.record[-1]}"
        assert contrast.source == "others"
        (written,) = [text for text in script.prompts if f"text bob {contrast.record[-1]}" in text]
        items = [names[f"{user}.{record}"] for user, record in contrast.donors]
        assert len(items) == 2
        assert all(f"text {user} {n}\nword{n} of {user}" in written for user, n in items)
        assert contrast.meta["try"] == 1
        assert contrast.meta["similarity"] == 0
    assert {contrast.id for contrast in file.contrasts()} == {contrast.id for contrast in made.contrasts}


def test_a_second_try_is_sampled_and_what_stays_too_close_is_dropped(file, monkeypatch):
    answers = {
        0: ("far away", "unused"),
        1: ("word1 of bob indeed", "far away"),
        2: ("word2 of bob indeed yes", "word2 of bob indeed"),
        3: ("", "far away"),
        4: ("", ""),
        5: ("word5 of bob", "word5 of bob"),
    }
    script = Script(monkeypatch, lambda number, attempt: answers[number][attempt - 1])
    made = make(file)
    assert [(c.record, c.rejected, c.meta["try"]) for c in made.contrasts] == [
        ("bob0", "far away", 1), ("bob1", "far away", 2), ("bob3", "far away", 2)
    ]  # fmt: skip
    assert made.dropped == {TOO_CLOSE: 1, EMPTY: 1, EQUAL: 1}
    assert script.batches == [6, 5]
    drop = next(entry for entry in file.entries() if isinstance(entry, Dropped) and entry.record == "bob2")
    assert drop.meta["similarity"] == pytest.approx(3 / 4, abs=1e-4)  # of the better try
    assert len(drop.donors) == 2


def test_second_tries_dont_wait_for_all_the_first(file, monkeypatch):
    attempts = []

    def answer(number, attempt):
        attempts.append(attempt)
        return "" if attempt == 1 else "far away"

    Script(monkeypatch, answer)
    assert make(file, rows=2).new == 6
    assert attempts == [1, 1, 2, 2] * 3


@pytest.mark.parametrize(("words", "limit"), [(50, 0.15), (51, 0.20)])
def test_thresholds_of_short_and_long_answers(words, limit):
    assert Recipe().limit("w " * words) == limit
    assert Recipe(threshold=0.5).limit("w") == 0.5


def test_a_similarity_at_the_threshold_is_too_close(file, monkeypatch):
    Script(monkeypatch, lambda number, attempt: "word0 x y" if number == 0 else "word1 x y z")
    made = make(file, PAIRS[:2], recipe=Recipe(k=2, threshold=1 / 3))
    assert [c.record for c in made.contrasts] == ["bob1"]


def test_without_notes(file, monkeypatch):
    script = Script(monkeypatch, lambda number, attempt: "something else")
    made = generate_contrasts(LOADED, PAIRS[:1], file, prompt, recipe=Recipe("none"))
    assert script.prompts == [prompt(None, PAIRS[0].request)]
    assert (made.contrasts[0].source, made.contrasts[0].donors) == ("none", ())


def test_an_interrupted_run_goes_on_where_it_was(file, monkeypatch):
    made = []

    def answer(number, attempt):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(number)
        return f"quite different {number}"

    Script(monkeypatch, answer)
    with pytest.raises(KeyboardInterrupt):
        make(file, rows=1)
    first = file.path.read_bytes()
    assert [entry.record for entry in file.entries()] == [f"bob{n}" for n in made]
    file.path.write_bytes(first + b'{"sources": ["torn')
    script = Script(monkeypatch, lambda number, attempt: f"quite different {number}")
    seen = []
    result = make(file, rows=2, progress=lambda step, done, total: seen.append((done, total)))
    assert script.batches == [2, 1]
    assert seen == [(3, 6), (5, 6), (6, 6)]
    assert (len(result.contrasts), result.new) == (6, 3)
    assert file.path.read_bytes().startswith(first)
    script.batches.clear()
    again = make(file)
    assert (again.contrasts, again.new, script.batches) == (result.contrasts, 0, [])


def test_drops_are_not_tried_again_and_another_recipe_is(file, monkeypatch):
    Script(monkeypatch, lambda number, attempt: "")
    assert make(file).dropped == {EMPTY: 6}
    script = Script(monkeypatch, lambda number, attempt: f"quite different {number}")
    assert make(file).dropped == {EMPTY: 6}
    assert script.batches == []
    for recipe in (Recipe(k=2, item_words=5, seed=1), Recipe(k=3), Recipe(k=2, item_words=5, temperature=0.5)):
        assert make(file, recipe=recipe).new == 6
    other = generate_contrasts(LOADED, PAIRS, file, lambda notes, request: prompt(notes, request) + "!", donors=DONORS)
    assert other.new == 6


def test_a_replaced_record_is_made_anew_and_its_old_text_goes(file, monkeypatch):
    Script(monkeypatch, lambda number, attempt: f"quite different {number}")
    make(file)
    feedback = Contrast(Request("q"), "a", "b", "feedback")
    file.append([feedback])
    new = [Record("text bob 0", id="bob0", reply="the new reply"), *list(history("bob"))[1:]]
    made = make(file, own_pairs(History(new, "bob")))
    assert made.new == 1
    assert made.contrasts[0].chosen == "the new reply"
    assert "word0" not in file.path.read_text()
    assert len(file.entries()) == 7
    assert feedback in file.entries()


def test_pairs_of_no_record_are_kept_apart_by_what_they_say(file, monkeypatch):
    Script(monkeypatch, lambda number, attempt: f"quite different {number}")
    nameless = [replace(pair, record="") for pair in PAIRS]
    assert make(file, nameless).new == 6
    assert make(file, nameless).new == 0
    assert {len(contrast.donors) for contrast in file.contrasts()} == {2}


def test_what_cant_be_asked_is_dropped_with_its_reason(file, monkeypatch):
    Script(monkeypatch, lambda number, attempt: "quite different")
    long = own_pairs(
        History([Record("text bob 9 " * 200, id="long", reply="x"), history("bob")[0]], "bob"), words=10**6
    )
    made = make(file, long)
    assert (made.dropped, [c.record for c in made.contrasts]) == ({NO_ROOM: 1}, ["bob0"])
    room = LOADED.window - len(LOADED.tokenizer(prompt(None, PAIRS[1].request))["input_ids"])
    fits = Recipe("none", max_new_tokens=room)
    assert generate_contrasts(LOADED, [PAIRS[1]], file, prompt, recipe=fits).new == 1
    tight = Recipe("none", max_new_tokens=room + 1)
    assert generate_contrasts(LOADED, [PAIRS[1]], file, prompt, recipe=tight).dropped == {NO_ROOM: 1}
    alone = Donors({"bob": history("bob")})
    assert generate_contrasts(LOADED, [PAIRS[2]], file, prompt, donors=alone).dropped == {NO_DONORS: 1}


def test_bad_options_are_refused(file):
    for options in ({"k": 0}, {"tries": 0}, {"temperature": 0.0}, {"threshold": 0.0}, {"threshold": 2.0}):
        with pytest.raises(InputError, match="expected"):
            Recipe(**options)
    with pytest.raises((InputError, TypeError), match="others"):  # TypeError: where signatures are checked
        Recipe(source="both")
    with pytest.raises(InputError, match="no pairs"):
        make(file, [])
    with pytest.raises(InputError, match="pass donors, or choose source 'none'"):
        generate_contrasts(LOADED, PAIRS, file, prompt)


def test_another_process_that_makes_the_same_is_not_doubled(file, monkeypatch):
    def answer(number, attempt):
        if number == 0:  # meanwhile
            Script(monkeypatch, lambda number, attempt: "their work")
            make(file)
        return "mine"

    Script(monkeypatch, answer)
    make(file)
    assert Counter(entry.record for entry in file.entries()) == {f"bob{n}": 1 for n in range(6)}
    assert {contrast.rejected for contrast in file.contrasts()} == {"their work"}


def test_what_is_erased_while_a_run_goes_on_is_not_written(tmp_path, monkeypatch):
    with Store(tmp_path) as store:
        for user in ("ann", "cem", "dee"):
            store.add(user, history(user, 3))
        store.add("bob", history("bob"))
        file = ContrastFile(store.user_dir(AREA, "bob"), "bob")
        asked = []

        def answer(number, attempt):
            asked.append(number)
            if len(asked) == 4:
                store.forget("ann")
                store.forget_record("bob", "bob4")
            return f"quite different {number}"

        Script(monkeypatch, answer)
        made = make(file, rows=1, holds=store.holds)
        anns = {source_of("ann", f"ann{n}") for n in range(3)}
        kept = file.contrasts()
        assert {contrast.id for contrast in kept} == {contrast.id for contrast in made.contrasts}
        assert kept
        assert not [contrast for contrast in kept if anns & set(contrast.donors)]
        assert "bob4" not in {contrast.record for contrast in kept}
        assert made.withdrawn == 6 - len(kept) >= 1
        assert json.loads(file.path.read_text().splitlines()[0])["sources"]
        store.forget("bob")
        Script(monkeypatch, answer)
        asked += [0] * 4
        assert make(file, holds=store.holds).withdrawn == 6
        assert not file.path.exists()


@pytest.mark.model
def test_the_embedded_model_writes_contrasts(smollm2, tmp_path):
    titles = {
        "bob": ["Attention as a retrieval index", "Small models that remember"],
        "ann": ["Growing tomatoes on a balcony", "Soil for beginners"],
    }
    histories = {
        user: [Record(f"A text about: {title.lower()}.", id=f"{user}{n}", reply=title) for n, title in enumerate(own)]
        for user, own in titles.items()
    }

    def render(notes, request):
        asked = f"{request.task}\n\n{request.query}"
        return render_chat(smollm2, [{"role": "user", "content": f"Notes:\n{notes}\n\n{asked}" if notes else asked}])

    pairs = own_pairs(History(histories["bob"], "bob"), task="Write a title.")
    donors = Donors({"ann": histories["ann"]})
    recipe = Recipe(max_new_tokens=12, threshold=1.0)
    made = generate_contrasts(smollm2, pairs, ContrastFile(tmp_path, "bob"), render, donors=donors, recipe=recipe)
    assert made.new == 2
    assert all(contrast.rejected.isprintable() and len(contrast.rejected) > 3 for contrast in made.contrasts)
