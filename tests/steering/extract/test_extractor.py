from dataclasses import replace

import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.intervention import Edit, Intervention
from penchant.inference.likelihood import Exchange
from penchant.inference.sites import Site
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant.steering.data.pairs import Pair
from penchant.steering.extract.extractor import ITEM_WORDS, ITEMS, ActivationExtractor, exchange_of
from penchant.steering.extract.vectors import likelihood_gradients, read_keys, read_vectors
from penchant.steering.storage.bank import KeySite, Row
from penchant.store.erasure.lineage import source_of
from tests.families import WINDOW, tiny
from tests.steering.users import contrasts, pairs, template

LOADED = tiny()
KEY = KeySite(Site(2, "block"))
SITES = (Site(1, "mlp"), Site(2, "block"))


def test_a_bank_of_gradients() -> None:
    told: list[tuple[str, int, int | None]] = []
    base = Intervention({SITES[0]: Edit(torch.randn(1, 64, generator=torch.Generator().manual_seed(0)))}, "last_1")
    reader = ActivationExtractor(
        LOADED, template(LOADED), "gradient", KEY, "last_1", base, progress=lambda *at: told.append(at)
    )
    samples = pairs("zq", 3)
    bank = reader.bank("ada", samples, SITES, "origin")
    exchanges = [exchange_of(LOADED, sample, template(LOADED)) for sample in samples]
    wanted = likelihood_gradients(LOADED, exchanges, SITES, scope="last_1", base=base)
    assert bank.sites == SITES and all(torch.equal(bank.vectors[site], wanted[site]) for site in SITES)
    assert torch.equal(bank.keys, read_keys(LOADED, [sample.request.query for sample in samples], KEY))
    assert (bank.model, bank.reading, bank.key) == ("origin", "gradient", KEY)
    assert bank.rows == tuple(Row.of("ada", sample) for sample in samples) and told[-1] == ("reading answers", 3, 3)
    # The own answer is all that a gradient needs: contrasts do as well.
    given = contrasts("zq", 3)
    assert torch.equal(reader.bank("ada", given, SITES, "origin").vectors[SITES[0]], wanted[SITES[0]])
    # Without the base, or in another scope, it is another one.
    for other in (replace(reader, base=None), replace(reader, base=None, scope="after_prompt")):
        assert not torch.allclose(other.bank("ada", samples, SITES, "o").vectors[SITES[1]], wanted[SITES[1]], rtol=0.1)


def test_a_bank_of_differences() -> None:
    told: list[tuple[str, int, int | None]] = []
    reader = ActivationExtractor(
        LOADED, template(LOADED), "answer_mean", KEY, "last_1", progress=lambda *at: told.append(at)
    )
    samples = contrasts("zq", 3)
    bank = reader.bank("ada", samples, SITES, "origin")
    wanted = read_vectors(
        LOADED, samples, SITES, "answer_mean", lambda contrast, context: template(LOADED)(None, contrast.request)
    )
    assert all(torch.equal(bank.vectors[site], wanted[site]) for site in SITES)
    assert bank.rows == tuple(Row.of("ada", sample) for sample in samples) and told == [("reading answers", 3, 3)]
    for reading in ("answer_mean", "prompt_last"):
        with pytest.raises(InputError, match=f"reading {reading} needs contrasts"):
            replace(reader, reading=reading).bank("ada", [*samples[:2], pairs("zq", 3)[2]], SITES, "origin")
    with pytest.raises(InputError):
        reader.bank("ada", [], SITES, "origin")


def test_contexts_are_drawn_of_the_right_users() -> None:
    seen: list[tuple[str | None, str]] = []

    def words(notes: str | None, request: Request) -> str:
        seen.append((notes, request.query))
        return template(LOADED)((notes or "")[:80], request)

    everyone = {"ada": contrasts("zq", 8), "bo": contrasts("kk", 3), "cy": contrasts("vv", 3)}
    reader = ActivationExtractor(LOADED, words, "prompt_last", KEY, "last_1", everyone=everyone)
    bank = reader.bank("ada", everyone["ada"], SITES, "origin")
    assert len(seen) == 16
    for notes, query in seen:
        assert notes is not None and notes.count("\n\n") == ITEMS - 1
        own = "zq" in notes
        assert own != ("kk" in notes or "vv" in notes)
        assert not own or not any(part.startswith(f"{query}\n") for part in notes.split("\n\n"))
    assert sum("zq" in (notes or "") for notes, _ in seen) == 8
    again = reader.bank("ada", everyone["ada"], SITES, "origin")
    assert all(torch.equal(bank.vectors[site], again.vectors[site]) for site in SITES)
    for lacking, samples in (({"ada": everyone["ada"]}, everyone["ada"]), (everyone, everyone["ada"][:1])):
        with pytest.raises(InputError, match="reading prompt_last needs two samples of the user and some of other"):
            replace(reader, everyone=lacking).bank("ada", samples, SITES, "origin")


def test_items_of_a_context_are_short() -> None:
    seen: list[str] = []

    def words(notes: str | None, request: Request) -> str:
        seen.append(notes or "")
        return template(LOADED)(None, Request(request.query[:40]))

    given = contrasts("zq", 2)
    long = replace(given[0], request=Request(" ".join(f"w{n}" for n in range(200))))
    everyone = {"ada": [long, given[1]], "bo": contrasts("kk", 2)}
    ActivationExtractor(LOADED, words, "prompt_last", KEY, "last_1", everyone=everyone).bank(
        "ada", everyone["ada"], SITES, "o"
    )
    (notes,) = (notes for notes in seen if "w0" in notes)
    assert f"w{ITEM_WORDS - 1}\n{long.chosen}" in notes and f"w{ITEM_WORDS}" not in notes


def test_an_exchange_is_cut_to_the_window() -> None:
    words = template(LOADED)
    one = Pair(Request("a b c"), "a letter")
    prompt = tuple(prompt_ids(LOADED, words(None, one.request)))
    assert exchange_of(LOADED, one, words) == Exchange(prompt, continuation_ids(LOADED, "a letter"))
    long = exchange_of(LOADED, replace(one, answer="word " * WINDOW), words)
    assert len(long.prompt) + len(long.answer) == WINDOW
    assert long.answer == continuation_ids(LOADED, "word " * WINDOW)[: WINDOW - len(prompt)]
    with pytest.raises(InputError, match="window"):
        exchange_of(LOADED, replace(one, request=Request("word " * WINDOW)), words)
    with pytest.raises(InputError, match="answer is empty"):
        exchange_of(LOADED, replace(one, answer="  "), words)


def test_rows_say_where_they_are_from() -> None:
    pair, contrast = pairs("zq", 1)[0], contrasts("zq", 1)[0]
    assert contrast.answer == contrast.chosen
    row = Row.of("ada", pair)
    assert (row.record, row.when, row.sources) == ("zq-0", pair.when, (source_of("ada", "zq-0"),))
    donors = replace(contrast, donors=(("b" * 16, "c" * 16),))
    assert set(Row.of("ada", donors).sources) == {source_of("ada", contrast.record), ("b" * 16, "c" * 16)}
    assert Row.of("ada", replace(pair, record="")).sources == ()
    others = [replace(pair, answer="x"), replace(pair, request=Request("y")), replace(pair, record="other")]
    assert len({Row.of("ada", one).contrast for one in [pair, *others]}) == 4
    assert Row.of("bo", replace(pair)).contrast == row.contrast


@pytest.mark.parametrize("reading", ["gradient", "answer_mean"])
def test_the_same_answer_twice_makes_two_rows(reading: str) -> None:
    make = pairs if reading == "gradient" else contrasts
    first = make("zq", 1)[0]  # type: ignore[operator]
    reader = ActivationExtractor(LOADED, template(LOADED), reading, KEY, "last_1")  # type: ignore[arg-type]
    bank = reader.bank("ada", [first, replace(first, record="later")], SITES, "origin")
    assert len(bank) == 2 and [row.record for row in bank.rows] == ["zq-0", "later"]
