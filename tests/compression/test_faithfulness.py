import pytest
import torch

from penchant.compression.extractive import extractive
from penchant.compression.faithfulness import faithfulness
from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.history.records import History, Request
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from tests.compression.cases import history_of, marks_of, whole_records
from tests.families import tiny

REQUEST = Request("What do I like?")
FACTS = history_of("I like the sea.", "I walk on Tuesday.", "Peanuts are bad.", dated=False)
MARKS = marks_of(whole_records(FACTS), [3.0, 1.0, -1.0])


def logits(loaded: LoadedModel, text: str | None, answer: list[int]) -> torch.Tensor:
    ids = prompt_ids(loaded, render_chat(loaded, answer_messages(text, REQUEST)))
    with torch.no_grad():
        out = loaded.model(torch.tensor([[*ids, *answer]])).logits[0, len(ids) - 1 :]
    return out.double()


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_divergence_is_that_of_plain_forward_passes(family: str) -> None:
    loaded = tiny(family)
    profile = extractive(loaded.tokenizer)(FACTS, REQUEST, MARKS, 12)
    report = faithfulness(loaded, FACTS, REQUEST, profile, answer_tokens=3)

    answer: list[int] = []
    whole = lay_out(FACTS, whole_records(FACTS))
    for _ in range(3):
        answer.append(int(logits(loaded, whole, answer)[-1].argmax()))
    full = logits(loaded, whole, answer[:-1]).log_softmax(-1)
    expected = [
        float(
            torch.nn.functional.kl_div(
                logits(loaded, t, answer[:-1]).log_softmax(-1), full, log_target=True, reduction="none"
            )
            .sum(-1)
            .mean()
        )
        for t in (profile.text, None)
    ]
    assert report.kl_profile == pytest.approx(expected[0], rel=1e-3, abs=1e-6)
    assert report.kl_none == pytest.approx(expected[1], rel=1e-3, abs=1e-6)
    assert report.kl_profile > 0
    assert report.answer_tokens == 3
    assert report.dropped_tokens == 0
    assert report.share_kept == pytest.approx(1 - expected[0] / expected[1], rel=1e-2, abs=1e-3)
    assert str(report).endswith(f"; share kept {report.share_kept:.2f})")


def test_the_whole_history_as_profile_is_perfectly_faithful() -> None:
    loaded = tiny("qwen3")
    profile = extractive(loaded.tokenizer)(FACTS, REQUEST, MARKS, 10_000)
    report = faithfulness(loaded, FACTS, REQUEST, profile)
    assert report.kl_profile == pytest.approx(0.0, abs=1e-9)
    assert report.kl_none is not None
    assert report.kl_none > 1e-4
    assert report.share_kept == pytest.approx(1.0)
    assert report.mass_kept == pytest.approx(1.0)
    assert report.full_tokens == report.profile_tokens


def test_what_the_window_drops_is_said() -> None:
    loaded = tiny("llama")
    history = history_of(*(f"record {i} about the sea and the walk" for i in range(60)), dated=False)
    marks = marks_of(whole_records(history), [float(i == 3) for i in range(60)])
    profile = extractive(loaded.tokenizer)(history, REQUEST, marks, 30)
    report = faithfulness(loaded, history, REQUEST, profile, answer_tokens=2)
    assert report.dropped_tokens > 100
    assert loaded.window - 60 < report.full_tokens <= loaded.window - 2
    assert f"the oldest {report.dropped_tokens} tokens" in str(report)
    # it is the newest records that were read: changing the oldest changes nothing
    changed = history_of("something else entirely", *(r.text for r in history.records[1:]), dated=False)
    again = faithfulness(loaded, changed, REQUEST, profile, answer_tokens=2)
    assert again.kl_profile == report.kl_profile
    newest = history_of(*(r.text for r in history.records[:-1]), "something else entirely", dated=False)
    assert faithfulness(loaded, newest, REQUEST, profile, answer_tokens=2).kl_profile != report.kl_profile


def test_only_the_mass_without_a_model_run() -> None:
    loaded = tiny("llama")
    profile = extractive(loaded.tokenizer)(FACTS, REQUEST, MARKS, 8)
    loaded.model.forward = None  # type: ignore[assignment]
    report = faithfulness(loaded, FACTS, REQUEST, profile, answer_tokens=0)
    assert report.mass_kept == profile.mass_kept
    assert (report.kl_profile, report.kl_none, report.share_kept) == (None, None, None)
    assert str(report) == f"attention mass kept {profile.mass_kept:.0%}"
    with pytest.raises(InputError, match="answer_tokens"):
        faithfulness(loaded, FACTS, REQUEST, profile, answer_tokens=-1)


def test_an_empty_history_is_no_history() -> None:
    loaded = tiny("llama")
    nothing = History([])
    profile = extractive(loaded.tokenizer)(nothing, REQUEST, marks_of((), []), 8)
    report = faithfulness(loaded, nothing, REQUEST, profile)
    assert report.kl_profile == report.kl_none == 0.0
    assert report.share_kept is None
