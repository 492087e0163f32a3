import pytest
import torch

from penchant.errors import InputError
from penchant.history.records import Request
from penchant.inference.recurrence import recurrence
from penchant.inference.sites import Site, site_width
from penchant.models.anatomy import attention_module, decoder_layers
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import continuation_ids, prompt_ids
from penchant.steering.data.contrast import Contrast
from penchant.steering.extract import vectors
from penchant.steering.extract.vectors import default_key, read_keys, read_vectors
from penchant.steering.storage.bank import Bank, KeySite, Row, drop
from tests.families import FAMILIES, tiny
from tests.steering.cases import places, same

SITES = [Site(0, "attention"), Site(1, "heads"), Site(2, "mlp"), Site(2, "block")]
CONTRASTS = [
    Contrast(Request("walks " * n), "I like " + "sea " * (n % 4 + 1), "the report " * (5 - n % 4), "none", f"r{n}")
    for n in (1, 9, 3, 30, 4)
]


def read_bank(loaded, user, contrasts, sites, prompt):
    """The rows of contrasts as a bank."""
    vectors = read_vectors(loaded, contrasts, sites, "answer_mean", prompt)
    key = default_key(loaded)
    keys = read_keys(loaded, [contrast.request.query for contrast in contrasts], key)
    rows = tuple(Row.of(user, contrast) for contrast in contrasts)
    return Bank(vectors, keys, rows, loaded.fingerprint, "answer_mean", key)


def prompt(contrast: Contrast, context: str) -> str:
    return f"<|user|>{context * len(context)}: {contrast.request.query}<|assistant|>"


def states(loaded: LoadedModel, ids: list[int]) -> dict[Site, torch.Tensor]:
    """By hand: every activation of one text, without padding, cache, or an early end."""
    found: dict[Site, torch.Tensor] = {}
    layers = decoder_layers(loaded.model)
    handles = []
    for site in SITES:
        if site.kind == "heads":
            module = attention_module(layers[site.layer]).o_proj
            handles.append(module.register_forward_pre_hook(lambda m, a, s=site: found.update({s: a[0][0].clone()})))
        else:
            layer = layers[site.layer]
            module = {"attention": attention_module(layer), "mlp": getattr(layer, "mlp", None), "block": layer}[
                site.kind
            ]

            def hook(m: object, a: object, out: object, s: Site = site) -> None:
                found[s] = (out[0] if isinstance(out, tuple) else out)[0].clone()  # type: ignore[index]

            handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        loaded.model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return found


def test_answer_mean_by_its_definition() -> None:
    loaded = tiny("llama")
    found = read_vectors(loaded, CONTRASTS, SITES, "answer_mean", prompt)
    for row, contrast in enumerate(CONTRASTS):
        begun = prompt_ids(loaded, prompt(contrast, "same"))
        means = []
        for text in (contrast.chosen, contrast.rejected):
            answer = list(continuation_ids(loaded, text))
            means.append({site: h[len(begun) :].mean(0) for site, h in states(loaded, begun + answer).items()})
        for site in SITES:
            torch.testing.assert_close(found[site][row], means[0][site] - means[1][site], atol=2e-5, rtol=1e-4)


def test_prompt_last_by_its_definition() -> None:
    loaded = tiny("llama")
    found = read_vectors(loaded, CONTRASTS, SITES, "prompt_last", prompt)
    for row, contrast in enumerate(CONTRASTS):
        own, others = (states(loaded, prompt_ids(loaded, prompt(contrast, context))) for context in ("own", "others"))
        for site in SITES:
            torch.testing.assert_close(found[site][row], own[site][-1] - others[site][-1], atol=2e-5, rtol=1e-4)


def test_an_answer_is_not_tokenised_together_with_its_prompt() -> None:
    loaded = tiny("llama")
    contrast = Contrast(Request("q"), "alking", "eport", "none")
    begun, answer = prompt_ids(loaded, "I w"), list(continuation_ids(loaded, "alking"))
    assert prompt_ids(loaded, "I walking") != begun + answer
    found = read_vectors(loaded, [contrast], SITES[:1], "answer_mean", lambda contrast, context: "I w")[SITES[0]][0]
    other = list(continuation_ids(loaded, "eport"))
    means = [states(loaded, begun + ids)[SITES[0]][len(begun) :].mean(0) for ids in (answer, other)]
    torch.testing.assert_close(found, means[0] - means[1], atol=2e-5, rtol=1e-4)


def test_attention_is_what_the_module_adds_and_not_the_stream_behind_it() -> None:
    """The published code of Fints saves residual + attention output: it adds the residual in place."""
    loaded = tiny("llama")
    layer = decoder_layers(loaded.model)[1]
    attention = attention_module(layer)
    with torch.no_grad():
        silent, before = torch.zeros_like(attention.o_proj.weight), attention.o_proj.weight.clone()
        attention.o_proj.weight.copy_(silent)
        try:
            found = read_vectors(loaded, CONTRASTS[:2], [Site(1, "attention"), Site(1, "block")], "answer_mean", prompt)
        finally:
            attention.o_proj.weight.copy_(before)
    assert float(found[Site(1, "attention")].abs().max()) == 0
    assert float(found[Site(1, "block")].abs().max()) > 0.1


@pytest.mark.parametrize("reading", ["answer_mean", "prompt_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", [*FAMILIES, "gpt2"])
def test_a_batch_equals_one_at_a_time(family: str, dtype: torch.dtype, reading: str) -> None:
    loaded = tiny(family, dtype=dtype)
    together = read_vectors(loaded, CONTRASTS, SITES, reading, prompt)  # type: ignore[arg-type]
    alone = [read_vectors(loaded, [one], SITES, reading, prompt) for one in CONTRASTS]  # type: ignore[arg-type]
    allowed = 1e-5 if dtype == torch.float32 else 0.04
    for site in SITES:
        assert together[site].shape == (len(CONTRASTS), site_width(loaded.model, site.kind))
        assert together[site].dtype == torch.float32
        wanted = torch.cat([one[site] for one in alone])
        assert float((together[site] - wanted).abs().max()) < allowed * float(wanted.abs().max())


def test_small_batches_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("gemma3")
    whole = read_vectors(loaded, CONTRASTS, SITES, "answer_mean", prompt)
    monkeypatch.setattr(vectors, "BATCH_TOKENS", 60)
    steps: list[tuple[int, int | None]] = []
    parts = read_vectors(loaded, CONTRASTS, SITES, "answer_mean", prompt, progress=lambda _, *at: steps.append(at))
    for site in SITES:
        torch.testing.assert_close(parts[site], whole[site], atol=1e-4, rtol=1e-4)
    assert len(steps) > 1
    assert steps[-1] == (5, 5)
    assert steps == sorted(steps)


def test_nothing_runs_behind_the_last_site() -> None:
    loaded = tiny("llama")
    recurrence(loaded)  # measured once, by passes of its own
    ran: list[int] = []
    handle = decoder_layers(loaded.model)[3].register_forward_hook(lambda *given: ran.append(1))
    try:
        read_vectors(loaded, CONTRASTS, SITES, "answer_mean", prompt)
        read_vectors(loaded, CONTRASTS, SITES, "prompt_last", prompt)
        read_keys(loaded, ["sea"], KeySite(Site(1, "block")))
    finally:
        handle.remove()
    assert ran == []


def test_a_long_answer_is_read_as_far_as_the_window_goes() -> None:
    loaded = tiny("llama")
    contrast = Contrast(Request("q"), "sea walks " * 400, "report", "none")
    found = read_vectors(loaded, [contrast], SITES, "answer_mean", prompt)
    begun = prompt_ids(loaded, prompt(contrast, "same"))
    cut = list(continuation_ids(loaded, contrast.chosen))[: loaded.window - len(begun)]
    other = list(continuation_ids(loaded, "report"))
    means = [states(loaded, begun + ids)[SITES[0]][len(begun) :].mean(0) for ids in (cut, other)]
    torch.testing.assert_close(found[SITES[0]][0], means[0] - means[1], atol=2e-5, rtol=1e-4)


def test_what_can_not_be_read_is_refused() -> None:
    loaded = tiny("llama")
    with pytest.raises(InputError, match="no contrasts"):
        read_vectors(loaded, [], SITES, "answer_mean", prompt)
    with pytest.raises(InputError, match="no sites"):
        read_vectors(loaded, CONTRASTS, [], "answer_mean", prompt)
    with pytest.raises(InputError, match="window"):
        read_vectors(loaded, CONTRASTS, SITES, "answer_mean", lambda contrast, context: "sea " * 600)
    with pytest.raises(InputError, match="no inputs"):
        read_keys(loaded, [], default_key(loaded))
    with pytest.raises(InputError, match="no tokens"):
        read_keys(loaded, ["a", ""], default_key(loaded))


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_keys_pool_the_text_without_the_first_token(pooling: str) -> None:
    loaded = tiny("llama")
    texts = ["I like walks by the sea", "report", "a letter " * 12]
    key = KeySite(Site(2, "block"), pooling)  # type: ignore[arg-type]
    found = read_keys(loaded, texts, key)
    for row, text in enumerate(texts):
        ids = loaded.tokenizer(text)["input_ids"]
        hidden = states(loaded, [*loaded.tokenizer("\n")["input_ids"], *ids])[key.site][-len(ids) :]
        wanted = hidden.mean(0) if pooling == "mean" else hidden[-1]
        torch.testing.assert_close(found[row], wanted, atol=2e-5, rtol=1e-4)
    long = read_keys(loaded, ["walks " * 600], key)
    assert bool(long.isfinite().all())


def test_keys_of_a_tokenizer_with_a_first_token() -> None:
    loaded = tiny("llama")
    plain = read_keys(loaded, ["sea"], KeySite(Site(2, "block")))
    before = loaded.tokenizer.bos_token
    loaded.tokenizer.bos_token = "<|end|>"
    try:
        found = read_keys(loaded, ["sea"], KeySite(Site(2, "block")))
        first = loaded.tokenizer.bos_token_id
    finally:
        loaded.tokenizer.bos_token = before
    ids = loaded.tokenizer("sea")["input_ids"]
    torch.testing.assert_close(
        found[0], states(loaded, [first, *ids])[Site(2, "block")][1:].mean(0), atol=2e-5, rtol=1e-4
    )
    assert not torch.allclose(found, plain)


def test_a_bank_is_read_whole_and_in_parts() -> None:
    loaded = tiny("llama")
    whole = read_bank(loaded, "ada", CONTRASTS, SITES, prompt)
    assert whole.rows == tuple(Row.of("ada", contrast) for contrast in CONTRASTS)
    assert whole.key == default_key(loaded) == KeySite(Site(3, "block"))
    assert (whole.model, whole.reading) == (loaded.fingerprint, "answer_mean")
    parts = [read_bank(loaded, "ada", some, SITES, prompt) for some in (CONTRASTS[:2], CONTRASTS[2:])]
    left = drop(whole, [CONTRASTS[2].id])
    rebuilt = read_bank(loaded, "ada", CONTRASTS[:2] + CONTRASTS[3:], SITES, prompt)
    for one, other in ((parts[0], places(whole, [0, 1])), (parts[1], places(whole, [2, 3, 4])), (left, rebuilt)):
        assert one.rows == other.rows
        torch.testing.assert_close(one.keys, other.keys, atol=2e-5, rtol=1e-4)
        for site in SITES:
            torch.testing.assert_close(one.vectors[site], other.vectors[site], atol=2e-5, rtol=1e-4)
    assert not same(whole, left)


@pytest.mark.model
def test_the_embedded_model_reads_and_finds(smollm2: LoadedModel) -> None:
    texts = ["My cat sleeps on the sofa", "The stock market fell again", "How do I bake bread?"]
    contrasts = [Contrast(Request(text), "Yes, meow!", "I cannot say.", "none", str(i)) for i, text in enumerate(texts)]
    site = Site(15, "attention")
    bank = read_bank(smollm2, "ada", contrasts, [site], lambda contrast, context: contrast.request.query)
    assert bank.vectors[site].shape == (3, 576)
    found = read_keys(smollm2, ["Shares and bonds lost value"], bank.key)[0]
    centred = torch.cosine_similarity(bank.keys - bank.keys.mean(0), (found - bank.keys.mean(0))[None])
    assert int(centred.argmax()) == 1
