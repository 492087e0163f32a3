"""MT-Eval's global instructions (Kwan et al. 2024, arXiv 2401.16745): an instruction in turn 1, then real exchanges of
MT-Bench, then a question. A program checks the answer, as in IFEval (Zhou et al. 2023, arXiv 2311.07911). The data set
names kinds of instructions and lists questions that suit each; the wordings are this project's own.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.errors import InputError
from penchant.history.dialogue import Role
from penchant.history.importers.reading import open_text
from penchant.history.records import Request
from penchant_lab.bench.dialogues import history_of
from penchant_lab.bench.items import Item
from penchant_lab.measures.adherence import Check
from penchant_lab.tasks.task import Task

QUESTIONS, EXCHANGES = "global_inst.jsonl", "mt-bench_extended.jsonl"
ITEMS = 48
FEWEST, MOST = 6, 18
"""Exchanges between the instruction and the question."""
LONGEST = 1500
"""Characters of an answer of the conversation: longer ones are cut at the end of a sentence, to stay within windows."""
AGREED = ("Understood.", "Sure, I will do that.", "All right, noted.")


@dataclass(frozen=True)
class Rule:
    """wordings: of the instruction, with {p} for one of `phrases`. check: of an answer. comply: (text, phrase) -> the
    text as the instruction wants it; None: no program can do that, and the conversation's answers stay as they are.
    scored: (phrase) -> what is scored after `given` ("": there is no likelihood to score).
    """

    wordings: tuple[str, ...]
    check: Callable[[str], Check]
    phrases: tuple[str, ...] = ("",)
    comply: Callable[[str, str], str] | None = None
    given: str = ""
    scored: Callable[[str], str] = lambda phrase: ""


def _two(text: str, phrase: str) -> str:
    first = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
    return f"{text}\n******\n{first}"


RULES: dict[str, Rule] = {
    "startend:start_char": Rule(
        ("Every response in this conversation should start with “{p}”, without anything in front of it.",),
        lambda p: Check("start", (p,)),
        ("Hello!", "My answer:", "## Answer", ">>>"),
        lambda text, p: f"{p} {text}",
        scored=lambda p: p,
    ),
    "startend:start_emoji": Rule(
        ("The first character of all your responses should be the emoji {p}.",),
        lambda p: Check("start-emoji", (p,)),
        ("😊", "🌟", "🔥", "🎉"),
        lambda text, p: f"{p} {text}",
        scored=lambda p: p,
    ),
    "startend:end_phrase": Rule(
        ("Finish each of your responses with this exact phrase: “{p}” No other words should follow it.",),
        lambda p: Check("end", (p,)),
        ("Is there anything else I can help with?", "Hope you agree with me.", "Thank you for reading."),
        lambda text, p: f"{text} {p}",
        "That depends on the point of view.",
        lambda p: f" {p}",
    ),
    "language:response_language": Rule(
        ("Your entire responses should be in the {p} language, no other language is allowed.",),
        lambda p: Check("language", ({"German": "de", "French": "fr", "Spanish": "es", "Italian": "it"}[p],)),
        ("German", "French", "Spanish", "Italian"),
    ),
    "format:json_format": Rule(
        ("All of your output should be wrapped in JSON format.",),
        lambda p: Check("json"),
        comply=lambda text, p: json.dumps({"answer": text}, ensure_ascii=False),
        scored=lambda p: '{"answer":',
    ),
    "format:bullet_list": Rule(
        ("Each response must contain exactly {p} bullet points in Markdown, such as: * This is point 1.",),
        lambda p: Check("bullets", ("exactly", p)),
        ("2", "3", "4"),
    ),
    "length_constraints:number_words": Rule(
        ("Answer every question with at most {p} words.",),
        lambda p: Check("words", ("at most", p)),
        ("20", "40", "60"),
        lambda text, p: " ".join(text.split()[: int(p)]),
    ),
    "length_constraints:number_sentences": Rule(
        ("Each of your responses should contain at most {p} sentences.",),
        lambda p: Check("sentences", ("at most", p)),
        ("2", "3"),
        lambda text, p: " ".join(re.split(r"(?<=[.!?])\s+", " ".join(text.split()))[: int(p)]),
    ),
    "keywords:existence": Rule(
        ("Include the word “{p}” in all your responses.",),
        lambda p: Check("mention", (p,)),
        ("remarkable", "journey", "balance", "lantern"),
        lambda text, p: f"{text} All of this is part of the {p}.",
    ),
    "change_case:capital_letter": Rule(
        ("Your entire responses should be in English, and in all capital letters.",),
        lambda p: Check("upper"),
        comply=lambda text, p: text.upper(),
    ),
    "change_case:lowercase": Rule(
        ("All your responses should be in English and in lower case only; capital letters are not allowed.",),
        lambda p: Check("lower"),
        comply=lambda text, p: text.lower(),
    ),
    "punctuation:no_comma": Rule(
        ("In all of your responses, refrain from the use of any commas.",),
        lambda p: Check("no-comma"),
        comply=lambda text, p: text.replace(",", ""),
    ),
    "combination:two_responses": Rule(
        ("Give two different responses each time, separated by 6 asterisk symbols: ******.",),
        lambda p: Check("two"),
        comply=_two,
    ),
    "content:placeholder": Rule(
        ("Your responses must contain at least {p} placeholders in square brackets, such as [address].",),
        lambda p: Check("placeholders", ("at least", p)),
        ("1", "2"),
        lambda text, p: f"{text} Write to [name] at [address].",
    ),
    "format:constrained_response": Rule(
        ("Answer all questions with one of: “My answer is yes.”, “My answer is no.”, “My answer is maybe.”",),
        lambda p: Check("one-of", ("My answer is yes.", "My answer is no.", "My answer is maybe.")),
        comply=lambda text, p: "My answer is maybe.",
        scored=lambda p: "My answer is",
    ),
}
"""By the names of MT-Eval; "start_char" is taken as a phrase that begins the answer."""


def items(path: Path, seed: int = 0) -> list[Item]:
    """Return `ITEMS` dialogues, the kinds of instructions in turn; the seed decides questions, phrases and exchanges.
    path: a folder with MT-Eval's files `QUESTIONS` and `EXCHANGES`. Raises `InputError` for others.
    """
    queries, talks = _queries(path / QUESTIONS), _talks(path / EXCHANGES)
    kinds = [kind for kind in RULES if any(kind in listed for _, listed in queries)]
    if not kinds:
        raise InputError(f"{QUESTIONS} names no kind of instruction that is known: expected some of {', '.join(RULES)}")
    return [_item(number, kinds[number % len(kinds)], queries, talks, seed) for number in range(ITEMS)]


def _item(number: int, kind: str, queries: list[tuple[str, list[str]]], talks: list[list[str]], seed: int) -> Item:
    rule, name = RULES[kind], f"mt-eval-{number}"
    draw = random.Random(f"{seed}/{name}")
    phrase = draw.choice(rule.phrases)
    query = draw.choice([query for query, listed in queries if kind in listed])
    count = draw.randint(FEWEST, MOST)
    said: list[tuple[Role, str]] = [
        ("user", draw.choice(rule.wordings).format(p=phrase)),
        ("assistant", draw.choice(AGREED)),
    ]
    for talk in draw.sample(talks, len(talks)):
        for user, answer in zip(talk[::2], talk[1::2], strict=True):
            if len(said) < 2 * (count + 1):
                text = _shortened(answer)
                said += [("user", user), ("assistant", rule.comply(text, phrase) if rule.comply else text)]
    history = history_of(name, said, standing=[0])
    scored = rule.scored(phrase)
    return Item(
        f"{name}/{kind}",
        history,
        Request(query),
        scored,
        evidence=("t0",),
        quotes=(phrase,),
        category=kind,
        given=rule.given if scored else "",
        check=rule.check(phrase),
    )


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    cut = text[:LONGEST]
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)|\n", cut)]
    return cut[: ends[-1] if ends else LONGEST].rstrip()


def _lines(file: Path) -> Iterator[Any]:
    with open_text(file) as text:
        for number, line in enumerate(text):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise InputError(f"{file.name} line {number + 1}: no JSON ({error}); expected MT-Eval's file") from None


def _queries(file: Path) -> list[tuple[str, list[str]]]:
    return [(str(_get(one, "query", file)), list(_get(one, "instructions", file))) for one in _lines(file)]


def _talks(file: Path) -> list[list[str]]:
    """Return the turns of each conversation, user and answer alternating. Conversations with an empty turn are left
    out, and so are role plays, because a role is itself an instruction for the rest of the conversation.
    """
    talks = []
    for one in _lines(file):
        if one.get("category") == "roleplay":
            continue
        talk = [str(_get(turn, side, file)) for turn in _get(one, "conversation", file) for side in ("user", "sys")]
        if all(text.strip() for text in talk) and talk:
            talks.append(talk)
    if not talks:
        raise InputError(f"{file.name} has no conversation: expected MT-Eval's file in its official layout")
    return talks


def _get(document: Mapping[str, Any], name: str, file: Path) -> Any:
    try:
        return document[name]
    except (KeyError, TypeError):
        raise InputError(f"{file.name}: no {name!r} in an entry; expected MT-Eval's official layout") from None


TASK = Task(
    "mt-eval",
    ("memory",),
    items,
    ("adherence",),
    "MT-Eval's kinds of global instructions in turn 1, MT-Bench's exchanges, a question (Kwan et al. 2024, "
    "arXiv 2401.16745), checked as in IFEval",
    max_new_tokens=96,
    seeded=True,
    unit="record",
    budget="35%",
    split=lambda items, part: items,
    dialogues=True,
)
