"""MT-Eval's layout, with a fixture of our own; every kind of rule is complied with by its own program."""

import json
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant_lab.bench.dialogues import STANDING
from penchant_lab.bench.journal import digest_of
from penchant_lab.tasks import mt_eval
from penchant_lab.tasks.mt_eval import RULES, TASK, items

SAID = "The heron waits, and then it strikes. It is patient. " + "Few birds are like that, I think. " * 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kinds = [*RULES, "kind:unknown"]
    queries = [
        {"id": n, "query": f"Is a heron {word}?", "instructions": kinds} for n, word in enumerate(("big", "shy"))
    ]
    talks = [
        {
            "question_id": n,
            "category": "roleplay" if n == 3 else "writing",
            "conversation": [{"user": f"Tell {n} about bird {k}.", "sys": SAID, "id": "x"} for k in range(5)],
        }
        for n in range(6)
    ]
    talks.append({"question_id": 9, "category": "math", "conversation": [{"user": "Hm?", "sys": "", "id": "y"}]})
    for name, documents in ((mt_eval.QUESTIONS, queries), (mt_eval.EXCHANGES, talks)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    return tmp_path


def test_every_kind_is_asked_after_an_instruction_in_turn_1(folder: Path) -> None:
    made = items(folder)
    assert len(made) == mt_eval.ITEMS == len({item.user for item in made})
    assert {item.category for item in made} == RULES.keys()
    for item in made:
        (phrase,) = item.quotes
        assert phrase in item.history[0].text
        assert [record.id for record in item.history if record.meta.get(STANDING)] == ["t0"] == list(item.evidence)
        assert [record.kind for record in item.history] == ["user", "assistant"] * (len(item.history) // 2)
        assert mt_eval.FEWEST + 1 <= len(item.history) // 2 <= mt_eval.MOST + 1
        assert not any("Tell 3" in record.text for record in item.history)  # a role play
        assert not any(record.text == item.request.query for record in item.history)
        if item.answer:
            assert item.check is not None
            assert item.check.holds(item.given + item.answer) or item.check.kind in ("json", "one-of")


def test_the_seed_alone_decides(folder: Path) -> None:
    assert digest_of(items(folder, 0)) == digest_of(items(folder, 0)) != digest_of(items(folder, 1))
    assert digest_of(TASK.items(folder, "test")) == digest_of(TASK.items(folder, "tune"))


@pytest.mark.parametrize("kind", RULES)
def test_answers_of_the_conversation_comply_where_a_program_can_make_them(kind: str) -> None:
    rule = RULES[kind]
    for phrase in rule.phrases:
        check = rule.check(phrase)
        assert not check.holds(SAID.strip())
        if rule.comply is not None:
            assert check.holds(rule.comply(SAID.strip(), phrase))


def test_a_long_answer_ends_with_a_sentence() -> None:
    text = "One bird came. " * 200
    short = mt_eval._shortened(text)
    assert len(short) <= mt_eval.LONGEST
    assert short.endswith("came.")
    assert mt_eval._shortened("x" * 2000) == "x" * mt_eval.LONGEST


def test_other_files_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        items(folder / "elsewhere")
    (folder / mt_eval.EXCHANGES).write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="no 'conversation'"):
        items(folder)
    (folder / mt_eval.EXCHANGES).write_text("no\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1: no JSON"):
        items(folder)


def test_unknown_kinds_alone_are_refused(folder: Path) -> None:
    (folder / mt_eval.QUESTIONS).write_text('{"query": "Why?", "instructions": ["other"]}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no kind of instruction"):
        items(folder)


@pytest.mark.data
def test_the_real_files_give_all_kinds(shared_data: Path) -> None:
    made = items(shared_data / "mt-eval")
    assert {item.category for item in made} == RULES.keys()
    for item in made:
        assert not any(record.text == item.request.query for record in item.history)
