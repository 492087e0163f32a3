"""What share of a conversation's prompts is read from the cache: `python -m penchant_lab.serving.prompt_cache`.

Conversations of 30 turns with a profile in the newest turn. The server's engine counts the tokens that it didn't have
to read again. Beside it stands what the client alone would have had, with the same turns and no profile: of each
prompt, all that is in the one before it and its answer. The contract (docs/guides/server.md) promises a share of 0.9.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import Any

from penchant import Personalizer, Store
from penchant.cli.output import run_and_exit
from penchant.lens.synthetic import needle_histories
from penchant.models.tokenization import opening_ids
from penchant.serving.answers import write
from penchant.serving.exchange import take
from penchant.serving.generation import chat_prompt
from penchant.serving.identity import Identity
from penchant.serving.schemas import ChatRequest, Message, PenchantOptions
from penchant.serving.service import ServerSettings, Service
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.model_options import add_model_options, parsed

SYSTEM = "You are the assistant of a public library. Answer in one or two sentences, and be friendly."
TURNS, ANSWER, BUDGET = 30, 48, 300


async def talk(service: Service, questions: list[str], user: str) -> list[dict[str, int]]:
    """Hold a conversation; return what each prompt cost. alone: what the client alone would have had from the cache."""
    messages = [{"role": "system", "content": SYSTEM}]
    found, before = [], list[int]()
    identity = Identity(user, "user")
    for question in questions:
        messages.append({"role": "user", "content": question})
        sent = [Message.model_validate(one) for one in messages]
        options = PenchantOptions(budget=BUDGET)
        exchange = await take(
            service, ChatRequest(messages=sent, temperature=0, max_tokens=ANSWER, penchant=options), identity
        )
        (made,) = await write(exchange.answerings, exchange.written)
        answer = made.text.strip() or "Yes."
        plain = chat_prompt(service.loaded, messages)
        alone = sum(1 for _ in takewhile(_same, zip(opening_ids(service.loaded, plain), before, strict=False)))
        found.append(
            {
                "prompt": made.prompt_tokens,
                "cached": made.cached,
                "profile": exchange.personal.profile.tokens if exchange.personal.profile else 0,
                "alone": alone,
            }
        )
        before = opening_ids(service.loaded, plain + answer)
        messages.append({"role": "assistant", "content": answer})
    return found


def _same(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


def measure(service: Service, users: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the cost of each user's conversation, and the share."""
    results = []
    for user, questions in users.items():
        turns = asyncio.run(talk(service, questions, user))
        share = sum(turn["cached"] for turn in turns) / max(1, sum(turn["alone"] for turn in turns))
        results.append({"user": user, "turns": turns, "share": share})
    return results


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    rows = []
    for one in result["conversations"]:
        sums = {name: sum(turn[name] for turn in one["turns"]) for name in ("prompt", "profile", "cached", "alone")}
        rows.append(
            f"| {one['user']} | {sums['prompt']:,} | {sums['profile']:,} | {sums['cached']:,} | {sums['alone']:,} | "
            f"{one['share']:.3f} |"
        )
    return "\n".join(
        [
            "# The prompt cache of the server",
            "",
            f"{result['model']}, {TURNS} turns, answers of at most {ANSWER} tokens, profiles of at most {BUDGET}. "
            "Tokens of all prompts of a conversation, of the profiles in them, those that were not read again, and "
            "those that the client alone, without profiles, would not have had read again.",
            "",
            "| conversation | prompts | profiles | cached | client alone | share |",
            "|---|--:|--:|--:|--:|--:|",
            *rows,
            "",
            f"`{result['command']}`",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.serving.prompt_cache", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--conversations", type=int, default=3)
    add_model_options(parser)
    options = parsed(parser)
    make_folder(options.out)
    users = {}
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        for number, one in enumerate(needle_histories(options.conversations, 60, seed=7)):
            user = f"user-{number + 1}"
            store.add(user, one.history)
            asked = [question.request.query for question in one.questions]
            users[user] = [asked[turn % len(asked)] for turn in range(TURNS)]
        service = Service(Personalizer(options.model, store=store), ServerSettings(rows=1))
        try:
            conversations = measure(service, users)
        finally:
            service.close()
    command = f"python -m penchant_lab.serving.prompt_cache --conversations {options.conversations}"
    result = {"command": command, **provenance(), "model": str(options.model), "conversations": conversations}
    (options.out / "serving-prompt-cache.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving-prompt-cache.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
