"""The first hour with a new user: `python -m penchant_lab.first_hour` writes results/first_hour.json and first_hour.md.

dialogues.jsonl holds 20 users written for this project: three statements about themselves, often a standing
instruction, a question about each statement and an open request. Every second one was looked at while the layout of
the prompt was chosen; the others are only counted. script.json holds a first hour of 20 turns in two conversations,
which runs as `penchant chat` does.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penchant import Personalizer, Store, load_model
from penchant.cli.output import run_and_exit
from penchant.compression.profile import Profile
from penchant.conversation.facts.third_person import third_person
from penchant.conversation.prompt_rendering import build_messages, system_message, turn_layout
from penchant.history.dialogue import Instruction
from penchant.inference.answer_row import PromptTokens
from penchant.inference.generation import batches, generate
from penchant.models.chat import render_chat
from penchant.models.loading import LoadedModel
from penchant.models.tokenization import prompt_ids
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.model_options import add_model_options, parsed

HERE = Path(__file__).parent
OPEN = ("Tell me something nice.", "Can you recommend a book?")
DATED = "6 May 2026:\n"
TOKENS = 24
_OWN = re.compile(
    r"\b(?:I(?:'m| am)"
    r"(?! (?:so |an AI|fine|here|glad|happy|sorry|sure|just|not|afraid|unable|a (?:text|language|helpful)))"
    r"|I (?:live|work|have|was|play|teach|study|drive|keep|run|speak|grow|love|drink|wear|moved|can't (?:eat|drink))"
    r"|my (?:name|dog|cat|wife|sisters?|favou?rite|dentist|son|hobby|partner|granddaughter|car|shop|twin|job|boss"
    r"|garden|daughter|knee|children|home|brother|best friend))\b",
    re.IGNORECASE,
)
_YOU = re.compile(r"\byou(?:r|rs|'re|'ve)?\b", re.IGNORECASE)
COLUMNS = (
    ("right", "facts"),
    ("alone", "facts"),
    ("addressed", "facts"),
    ("as_the_user", "answers"),
    ("kept", "instructed"),
)
Framing = Callable[[Sequence[str], tuple[Instruction, ...], str], list[dict[str, str]]]


def _profile(text: str) -> Profile:
    return Profile(text, 0, 0, 0, (), (), "", "")


def _before(facts: Sequence[str], given: tuple[Instruction, ...], question: str) -> list[dict[str, str]]:
    notes = _profile(DATED + "\n".join(facts))
    return build_messages(system_message("", given, "", notes), (), {}, question)


def _now(facts: Sequence[str], given: tuple[Instruction, ...], question: str) -> list[dict[str, str]]:
    system, last = turn_layout("", given, "", _profile("\n".join(map(third_person, facts))), question)
    return build_messages(system, (), {}, last)


FRAMINGS: dict[str, Framing] = {"Notes about me (before)": _before, "Notes about the user (now)": _now}


def kept(kind: str, answer: str) -> bool:
    """Whether an answer keeps an instruction: one short sentence; no list; no exclamation mark."""
    if kind == "short":
        return len(answer.split()) <= 20 and len(re.findall(r"[.!?](?:\s|$)", answer)) <= 1
    return not re.search(r"^\s*(?:[-*•]|\d+\.)", answer, re.MULTILINE) if kind == "no list" else "!" not in answer


def _holds(answer: str, text: str) -> bool:
    return re.search(answer, text, re.IGNORECASE) is not None


def measure(loaded: LoadedModel, framing: Framing, dialogues: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ask everything, greedily, in batches; count answers with the right fact, with it alone and not with others that
    were not asked for, in the user's person, as instructed.
    """
    asked = [
        (dialogue, question, answer)
        for at, dialogue in enumerate(dialogues)
        for question, answer in [*dialogue["asks"], (OPEN[at % 2], None)]
    ]
    starts = []
    for dialogue, question, _ in asked:
        told = dialogue["instruction"]
        given = (Instruction("i", told),) if told else ()
        prompt = render_chat(loaded, framing(dialogue["facts"], given, question))
        starts.append(PromptTokens(tuple(prompt_ids(loaded, prompt)), TOKENS))
    texts = [""] * len(starts)
    for batch in batches(starts, rows=48, tokens=40_000):
        for at, made in zip(batch, generate(loaded, [starts[at] for at in batch]), strict=True):
            texts[at] = made.text
    pairs = list(zip(asked, texts, strict=True))
    facts = [(dialogue, answer, text) for (dialogue, _, answer), text in pairs if answer]
    right = [_holds(answer, text) for _, answer, text in facts]
    told = [kept(dialogue["kept"], text) for (dialogue, _, _), text in pairs if dialogue["instruction"]]
    return {
        "facts": len(facts),
        "right": sum(right),
        "alone": sum(
            held and not any(_holds(other, text) for _, other in dialogue["asks"] if other != answer)
            for held, (dialogue, answer, text) in zip(right, facts, strict=True)
        ),
        "answers": len(texts),
        "addressed": sum(_YOU.search(text) is not None for (_, _, answer), text in pairs if answer),
        "as_the_user": sum(_OWN.search(text) is not None for text in texts),
        "instructed": len(told),
        "kept": sum(told),
        "said": [{"question": question, "answer": text} for (_, question, _), text in pairs],
    }


def first_hour(loaded: LoadedModel) -> list[dict[str, Any]]:
    """Run the script as `penchant chat` does, with its defaults; return its turns with answers."""
    script = json.loads((HERE / "script.json").read_text(encoding="utf-8"))
    conversations, others = script["conversations"], script["others"]
    facts = {line["fact"].lower() for lines in conversations for line in lines if "fact" in line}
    turns = []
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        personalizer = Personalizer(loaded, store=store)
        for number, lines in enumerate(conversations):
            conversation = personalizer.conversation("anna")
            for line in lines:
                said = conversation.say(line["say"])
                told = {fact for fact in facts if fact in said.text.lower()}
                right = None if "fact" not in line else line["fact"].lower() in told
                # Whoever wrote the pasted mail is not the user.
                mixed = right is not None and any(name.lower() in said.text.lower() for name in others)
                turns.append(
                    {
                        "conversation": number,
                        "user": line["say"],
                        "answer": said.text,
                        "finish": said.finish,
                        "prompt_tokens": said.context.tokens,
                        "right": right,
                        "alone": None if right is None else right and len(told) == 1,
                        "as_the_user": mixed or _OWN.search(said.text) is not None,
                    }
                )
    return turns


def table(result: dict[str, Any]) -> str:
    hour = result["first_hour"]
    asked = [one for one in hour if one["right"] is not None]
    lines = [
        "# The first hour",
        "",
        f"{result['model']} in {result['dtype']}, greedy. Each cell: tuning half, unseen half. right: answers with the "
        "fact that was asked for. alone: those of them that tell none of the user's other facts. to the user: those "
        "that say 'you'. as the user: answers in which the assistant speaks as if it were the user. kept: answers that "
        "keep the standing instruction.",
        "",
        "| framing | right | alone | to the user | as the user | kept |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, halves in result["framings"].items():
        cells = [
            ", ".join(f"{halves[half][key]} of {halves[half][most]}" for half in ("tune", "test"))
            for key, most in COLUMNS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"The scripted first hour: {sum(one['right'] for one in asked)} of {len(asked)} questions about the user "
        f"answered ({sum(one['alone'] for one in asked)} of them without facts that weren't asked for), "
        f"{sum(one['finish'] != 'stop' for one in hour)} of {len(hour)} answers cut off or repeating "
        f"themselves, {sum(one['as_the_user'] for one in hour)} as if the assistant were the user, or with another "
        "person's name or home.",
        "",
        "| | the user | the answer |",
        "|--:|---|---|",
    ]
    for number, one in enumerate(hour, 1):
        cells = [" ".join(one[key].replace("|", "\\|").split()) for key in ("user", "answer")]
        mark = {True: " ✓", False: " ✗", None: ""}[one["right"]]
        begun = (
            " (a new conversation)" if number > 1 and hour[number - 2]["conversation"] != one["conversation"] else ""
        )
        lines.append(f"| {number} | {cells[0]}{begun} | {cells[1]}{mark} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.first_hour", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parsed(parser)
    make_folder(options.out)
    loaded = load_model(options.model)
    dialogues = [json.loads(line) for line in (HERE / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()]
    result: dict[str, Any] = {
        "command": f"python -m penchant_lab.first_hour --model {options.model}",
        **provenance(HERE),
        "model": options.model,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "framings": {
            name: {half: measure(loaded, framing, dialogues[at::2]) for at, half in enumerate(("tune", "test"))}
            for name, framing in FRAMINGS.items()
        },
        "first_hour": first_hour(loaded),
    }
    name = "first_hour" if options.model == "smollm2" else f"first_hour-{loaded.name}"
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (options.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (options.out / f"{name}.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
