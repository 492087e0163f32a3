import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penchant.errors import InputError
from penchant_lab.bench.rows import Row
from penchant_lab.bench.summary import summarise
from penchant_lab.measures.metrics import bootstrap, paired_bootstrap
from tests.lab.synthetic import rows as synthetic

SEVERAL = range(40)
RNG = np.random.default_rng(11)
HARD = RNG.normal(4, 1, 40)
NOISE = RNG.normal(0, 0.3, (3, 40))


def _rows(method: str, losses: Sequence[float], asked: str = "", **more: Any) -> list[Row]:
    return [
        replace(Row(method, f"i{at}", f"u{at % 4}", 0, asked, loss=float(loss)), **more)
        for at, loss in enumerate(losses)
    ]


NONE = _rows("none", HARD)
FULL = _rows("full", HARD - 0.5 + NOISE[0])
GOLD = _rows("gold", HARD - 2.0 + NOISE[1])
FUSION = _rows("fusion", HARD - 1.0 + NOISE[2], "2%", budget=40, tokens=38)


def _summary(*parts: Sequence[Row], **more: Any) -> dict[str, Any]:
    summary = summarise([row for part in parts for row in part], **{"rounds": 2000, **more})
    json.dumps(summary, allow_nan=False)
    return summary


def _cell(summary: dict[str, Any], method: str, asked: str | None = None) -> dict[str, Any]:
    return next(one for one in summary["cells"] if one["method"] == method and asked in (None, one["asked"]))


def _near(found: dict[str, Any], expected: Sequence[float]) -> None:
    mean, low, high = expected
    assert found["mean"] == pytest.approx(mean, rel=1e-4)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_gains_and_shares_by_hand() -> None:
    cell = _cell(_summary(NONE, FULL, GOLD, FUSION), "fusion")
    loss = {
        name: np.array([row.loss for row in part])
        for name, part in zip("nfgm", (NONE, FULL, GOLD, FUSION), strict=True)
    }
    _near(cell["values"]["loss"], bootstrap(loss["m"]))
    _near(cell["gain"], paired_bootstrap(loss["n"], loss["m"]))
    _near(cell["over_full"], paired_bootstrap(loss["f"], loss["m"]))
    gain = (loss["n"] - loss["m"]).mean()
    assert cell["share_of_gold"]["mean"] == pytest.approx(gain / (loss["n"] - loss["g"]).mean(), rel=1e-4)
    assert cell["recovered"]["mean"] == pytest.approx(gain / (loss["n"] - loss["f"]).mean(), rel=1e-4)
    assert cell["share_of_gold"]["low"] < cell["share_of_gold"]["mean"] < cell["share_of_gold"]["high"]
    assert cell["recovered"]["reason"] is None


def test_references_have_no_share_of_themselves() -> None:
    summary = _summary(NONE, FULL, GOLD, FUSION)
    none, full, gold = (_cell(summary, name) for name in ("none", "full", "gold"))
    assert none["gain"] is none["share_of_gold"] is none["recovered"] is None
    assert none["over_full"]["mean"] == pytest.approx(-full["gain"]["mean"], rel=1e-4)
    assert full["over_full"] is full["recovered"] is None and full["share_of_gold"]["mean"] > 0
    assert gold["share_of_gold"] is None and gold["recovered"]["mean"] > 3
    assert {name: one["helps"] for name, one in summary["references"].items()} == {"full": "yes", "gold": "yes"}


def test_no_share_of_a_history_that_does_not_help() -> None:
    bad = [replace(row, method="full", loss=row.loss + 0.4 + NOISE[0][at]) for at, row in enumerate(NONE)]  # type: ignore[operator]
    summary = _summary(NONE, bad, FUSION)
    share = _cell(summary, "fusion")["recovered"]
    assert share["mean"] is None and share["reason"].startswith("the full history does not help here: its gain is −0.")
    assert _cell(summary, "fusion")["share_of_gold"] is None  # there is no gold
    assert summary["references"]["full"]["helps"] == "no"
    assert any("The full history does not help here, it hurts: −0." in sentence for sentence in summary["verdict"])
    assert not any("no history helps" in sentence for sentence in summary["verdict"])


def test_it_is_said_when_no_history_helps() -> None:
    useless = [
        _rows(name, HARD + NOISE[at], asked) for at, (name, asked) in enumerate((("full", ""), ("fusion", "2%")))
    ]
    summary = _summary(NONE, *useless)
    assert summary["verdict"][0].startswith("On this data no history helps this model")
    assert "with a gain of " in summary["verdict"][0]
    assert summary["references"]["full"]["helps"] == "unclear"
    assert not any("no history helps" in sentence for sentence in _summary(NONE, FUSION)["verdict"])


def test_gains_are_of_the_items_that_both_have() -> None:
    """The capped method met only the ten items that are easiest: unpaired it would seem far better."""
    easy = sorted(SEVERAL, key=lambda at: HARD[at])[:10]
    capped = [_rows("capped", HARD - 0.1, "2%")[at] for at in easy]
    summary = _summary(NONE, FUSION, capped)
    cell = _cell(summary, "capped")
    assert cell["items"] == 10
    assert cell["values"]["loss"]["mean"] < _cell(summary, "fusion")["values"]["loss"]["mean"]
    assert cell["gain"] == {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 10}
    (difference,) = [one for one in summary["differences"] if one["of"] == ["fusion", "capped"]]
    assert difference["items"] == 10
    assert difference["values"]["loss"]["mean"] == pytest.approx((NOISE[2][easy] - 0.9).mean(), rel=1e-4)
    assert difference["values"]["loss"]["verdict"] == "better"


def test_differences_are_judged_by_the_side_that_is_good() -> None:
    more = {"a": 0.8, "b": 0.3}
    metric = {name: _rows(name, HARD, "2%", metrics={"f1": value}) for name, value in more.items()}
    for name, part in metric.items():
        metric[name] = [replace(row, loss=row.loss + (name == "b")) for row in part]  # type: ignore[operator]
    (found,) = _summary(metric["b"], metric["a"], metrics=["f1"], chosen="b")["differences"]
    assert found["of"] == ["b", "a"]
    assert (found["values"]["loss"]["mean"], found["values"]["loss"]["verdict"]) == (1.0, "worse")
    assert (found["values"]["f1"]["mean"], found["values"]["f1"]["verdict"]) == (-0.5, "worse")
    (found,) = _summary(metric["b"], metric["a"], metrics=["f1"], chosen="a")["differences"]
    assert {one["verdict"] for one in found["values"].values()} == {"better"}
    same = [
        replace(row, method="same", loss=row.loss + NOISE[0][at] - NOISE[0].mean())
        for at, row in enumerate(metric["a"])
    ]  # type: ignore[operator]
    (found,) = _summary(metric["a"], same, chosen="a")["differences"]
    assert found["values"]["loss"]["verdict"] == "tie"


def test_the_chosen_method_meets_the_same_budget_and_those_without_one() -> None:
    wide = [replace(row, asked="5%") for row in FUSION]
    bm25 = _rows("bm25", HARD - 0.5, "2%")
    summary = _summary(NONE, bm25, FUSION, wide)
    assert summary["chosen"] == "fusion" and summary["budgets"] == ["2%", "5%"]
    pairs = [(one["of"][1], one["asked"]) for one in summary["differences"]]
    assert pairs == [("none", "2%"), ("bm25", "2%"), ("none", "5%")]
    assert _summary(NONE, bm25)["chosen"] == "bm25"
    assert _summary(NONE)["chosen"] is None
    with pytest.raises(InputError, match="'dense' wasn't measured: expected one of none, bm25"):
        _summary(NONE, bm25, chosen="dense")


def test_seeds_of_an_item_are_averaged_first() -> None:
    """An item with two seeds must not weigh twice."""
    rows = [
        Row("m", f"i{at}", f"u{at}", seed, "2%", loss=float(at))
        for at in range(8)
        for seed in range(2 if at == 7 else 1)
    ]
    extra = [replace(row, loss=9.0) if row.item == "i7" and row.seed else row for row in rows]
    loss = _cell(_summary(extra), "m")["values"]["loss"]
    assert loss["mean"] == pytest.approx((sum(range(7)) + 8) / 8) and loss["n"] == 8


def test_seeds_of_an_item_count_once_in_figures_of_all() -> None:
    rows = [Row("m", f"i{at}", "u", 0, "2%", predicted=0.0, true=float(at)) for at in range(8)]
    rows += [replace(rows[7], seed=seed) for seed in (1, 2, 3)]
    mae = _cell(_summary(rows, metrics=["mae"]), "m")["values"]["mae"]
    assert mae["mean"] == pytest.approx(sum(range(8)) / 8) and mae["n"] == 8


def test_a_share_takes_the_items_of_the_method() -> None:
    """The full history helps on all items together, but not on those that the capped method met."""
    full = [
        replace(row, loss=row.loss + (1 if at < 10 else -2) + NOISE[0][at])
        for at, row in enumerate(_rows("full", HARD))
    ]
    summary = _summary(NONE, full, _rows("capped", HARD - 0.1, "2%")[:10])
    assert summary["references"]["full"]["helps"] == "yes"
    share = _cell(summary, "capped")["recovered"]
    assert share["mean"] is None and share["n"] == 10 and "its gain is −" in share["reason"]


def test_users_are_resampled_where_there_are_ten() -> None:
    summary = _summary(synthetic(60, 12, methods=["none", "bm25"]))
    assert (summary["resampled"], summary["users"], summary["items"]) == ("users", 12, 60)
    assert _summary(NONE)["resampled"] == "items"  # four users
    by_user = [replace(row, user=f"u{at % 10}", loss=float(at % 10)) for at, row in enumerate(NONE)]
    by_item = [replace(row, user="u") for row in by_user]
    wide, narrow = (_summary(part)["cells"][0]["values"]["loss"] for part in (by_user, by_item))
    assert wide["high"] - wide["low"] > 1.5 * (narrow["high"] - narrow["low"])


def test_figures_of_all_items_and_their_differences() -> None:
    true = RNG.integers(1, 6, 40).astype(float)
    good = [replace(row, predicted=true[at] + 0.5, true=true[at]) for at, row in enumerate(_rows("a", HARD, "2%"))]
    poor = [replace(row, predicted=true[at] - 1, true=true[at]) for at, row in enumerate(_rows("b", HARD, "2%"))]
    summary = _summary(good, poor, metrics=["rmse", "mae"], chosen="a")
    assert summary["headline"] == "rmse" and list(summary["names"]) == ["loss", "rmse", "mae"]
    assert _cell(summary, "a")["values"]["rmse"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 40}
    assert summary["differences"][0]["values"]["rmse"] == {
        "mean": -0.5,
        "low": -0.5,
        "high": -0.5,
        "n": 40,
        "verdict": "better",
    }


def test_costs_and_budgets() -> None:
    rows = _rows("fusion", [1.0] * 4, "2%", history_tokens=2000, budget=40)
    rows = [
        replace(row, tokens=(30, 40, 41, 9)[at], seconds=(9.0, 1.0, 2.0, 3.0)[at], cold=at == 0, fallback=at == 1,
                tokens_fed=(2000, 10, 10, 13)[at], prompt_tokens=100 + at)
        for at, row in enumerate(rows)
    ]  # fmt: skip
    cell = _cell(_summary(rows), "fusion")
    assert cell["tokens"] == {"budget": 40, "mean": 30, "max": 41, "over": 1, "history": 2000, "ratio": 66.667}
    assert cell["seconds"] == {"cold": 9.0, "warm": 2.0} and cell["tokens_fed"] == {"cold": 2000, "warm": 11}
    assert cell["fallback"] == 0.25 and cell["prompt_tokens"] == 101.5 and cell["kept"] is None
    assert "Fusion" not in " ".join(_summary(rows)["verdict"])
    assert "fusion at 2% went over its budget on 1 items." in _summary(rows)["verdict"]


def test_categories() -> None:
    rows = [replace(row, category=str(at % 2)) for part in (NONE, FUSION) for at, row in enumerate(part)]
    found = _summary(rows)["categories"]
    assert [(one["category"], one["items"]) for one in found] == [("0", 20), ("1", 20)]
    odd = found[1]["cells"][1]
    assert odd["values"]["loss"]["mean"] == pytest.approx((HARD - 1 + NOISE[2])[1::2].mean(), rel=1e-4)
    assert odd["gain"]["mean"] == pytest.approx((1 - NOISE[2])[1::2].mean(), rel=1e-4)
    assert _summary(NONE)["categories"] == []
    (minus,) = found[1]["differences"]
    assert (minus["of"], minus["items"]) == (["fusion", "none"], 20)
    assert minus["values"]["loss"]["mean"] == pytest.approx((NOISE[2] - 1)[1::2].mean(), rel=1e-4)
    assert minus["values"]["loss"]["verdict"] == "better"


def test_a_method_that_only_fails() -> None:
    broken = [Row("broken", row.item, row.user, 0, "2%", error="the window is too short") for row in NONE]
    summary = _summary(NONE, FUSION, broken)
    cell = _cell(summary, "broken")
    assert (cell["items"], cell["errors"], cell["error"], cell["values"]) == (0, 40, "the window is too short", {})
    assert cell["gain"] is None and cell["seconds"] == {"cold": None, "warm": None}
    assert "broken at 2% failed 40 times, which is all of it: the window is too short" in summary["verdict"]
    assert summary["differences"][-1] == {"of": ["fusion", "broken"], "asked": "2%", "items": 0, "values": {}}
    assert _summary(broken)["headline"] is None
    assert _summary(NONE, broken, chosen="broken")["differences"][0]["items"] == 0


def test_a_loss_that_is_not_finite_is_a_failure() -> None:
    rows = [replace(FUSION[0], loss=math.nan), *FUSION[1:]]
    cell = _cell(_summary(rows), "fusion")
    assert (cell["items"], cell["errors"], cell["error"]) == (39, 1, "the loss is nan")


def test_one_item_proves_nothing() -> None:
    summary = _summary(NONE[:1], FULL[:1], GOLD[:1], FUSION[:1])
    cell = _cell(summary, "fusion")
    assert cell["gain"]["low"] is None and cell["share_of_gold"]["mean"] is None
    assert cell["share_of_gold"]["reason"].startswith("too few items or users (1 items)")
    assert {one["values"]["loss"]["verdict"] for one in summary["differences"]} == {"too few"}
    assert any(
        "too few items to be told from no history, the full history and the gold evidence" in one
        for one in summary["verdict"]
    )


def test_evidence_is_compared_where_nothing_is_answered() -> None:
    recall = {"fusion": 0.75, "bm25": 0.5}
    parts = [
        [replace(row, loss=None, recall=value, auc=0.9) for row in _rows(name, HARD, "2%")]
        for name, value in recall.items()
    ]
    summary = _summary(*parts)
    assert summary["headline"] == "recall" and list(summary["names"]) == ["recall", "evidence_auc"]
    assert summary["differences"][0]["values"]["recall"]["mean"] == 0.25
    assert summary["verdict"] == ["At 2 %, by evidence recall, fusion is better than bm25."]


def test_verdict_names_wins_ties_and_losses() -> None:
    better = _rows("better", HARD - 1.5, "2%")
    tie = [replace(row, method="tie", loss=row.loss + NOISE[0][at] - NOISE[0].mean()) for at, row in enumerate(FUSION)]  # type: ignore[operator]
    sentences = _summary(NONE, FULL, GOLD, FUSION, better, tie)["verdict"]
    assert sentences[0].startswith("The full history helps: it gains +0.")
    (gain,) = [one for one in sentences if one.startswith("At 2 %, fusion gains")]
    assert " % [" in gain and "of the gold evidence's gain" in gain and "over the full history" in gain
    assert (
        "At 2 %, by loss, fusion is better than no history and the full history; not clearly different from tie; "
        "worse than the gold evidence and better."
    ) in sentences


def test_bad_rows() -> None:
    with pytest.raises(InputError, match="nothing was measured"):
        summarise([])
    with pytest.raises(InputError, match="no metric 'bleu'"):
        summarise(NONE, ["bleu"])
    with pytest.raises(InputError, match=r"\('none', 'i0', '', 0\) were measured twice"):
        summarise([*NONE, NONE[0]])
