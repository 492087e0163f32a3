"""Answers while a long history arrives: `python -m penchant_lab.serving.ingestion --label after`.

A user with a short history asks one question after the other, each answer a stream. Meanwhile another user's history of
about 20,000 tokens is posted, and 30 s later that user asks a first question. Reported are the times to the first token
of the streams and their longest gaps between two tokens: while nothing else happens, from the post to the first
question, and while it is answered; and how long the first question took.

To measure another version beside this one, name its sources: `--label before --source PATH_OF_ITS/src`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from penchant import Store
from penchant.cli.output import run_and_exit
from penchant.history.jsonl import to_line
from penchant.lens.synthetic import needle_histories
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.serving.speed import Body, free_port, serving

RECORDS, SHORT = 550, 20  # about 20,000 and 700 tokens
ANSWER = 24
QUIET, UNTIL_ASKED = 15.0, 30.0  # seconds


def stream(client: httpx.Client, body: Body) -> dict[str, float]:
    """Return when a streamed answer was asked for, the seconds to its first token, and its longest gap after that."""
    began = last = time.perf_counter()
    first, gap = 0.0, 0.0
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        if response.status_code != 200:
            raise RuntimeError(response.read().decode(errors="replace"))
        for line in response.iter_lines():
            if not line.startswith("data: {") or not _text(json.loads(line.removeprefix("data: "))):
                continue
            now = time.perf_counter()
            if not first:
                first = now - began
            else:
                gap = max(gap, now - last)
            last = now
    return {"asked": began, "ended": time.perf_counter(), "first": first, "gap": gap}


def _text(chunk: dict[str, Any]) -> str:
    if "error" in chunk:
        raise RuntimeError(json.dumps(chunk))
    return chunk["choices"][0]["delta"].get("content") or "" if chunk["choices"] else ""


def measure() -> dict[str, Any]:
    """Measure one version of the server."""
    (short,), (long,) = needle_histories(1, SHORT, seed=3), needle_histories(1, RECORDS, seed=4)
    common = {"max_tokens": ANSWER, "temperature": 0}
    done: list[dict[str, float]] = []
    stopped = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        with Store(folder) as store:
            store.add("anna", short.history)
        port = free_port()
        command = (sys.executable, "-m", "penchant", "serve", "--port", str(port), "--store", folder)
        with serving(*command, port=port, ready="/readyz") as client:

            def ask_on() -> None:
                with httpx.Client(base_url=client.base_url, timeout=client.timeout) as mine:
                    number = 0
                    while not stopped.is_set():
                        asked = short.questions[number % len(short.questions)].request.query
                        messages = [{"role": "user", "content": f"({number}) {asked}"}]
                        done.append(stream(mine, {**common, "messages": messages, "user": "anna"}))
                        number += 1

            messages = [{"role": "user", "content": short.questions[0].request.query}]
            for _ in range(2):
                stream(client, {**common, "messages": messages, "user": "anna"})
            thread = threading.Thread(target=ask_on)
            thread.start()
            try:
                time.sleep(QUIET)
                posted = time.perf_counter()
                lines = "\n".join(to_line(record) for record in long.history)
                kind = {"Content-Type": "application/jsonl"}
                client.post("/v1/users/ben/records", content=lines, headers=kind).raise_for_status()
                time.sleep(UNTIL_ASKED)
                messages = [{"role": "user", "content": long.questions[0].request.query}]
                first = stream(client, {**common, "messages": messages, "user": "ben"})
            finally:
                stopped.set()
                thread.join()
    ends = {"quiet": (0.0, posted), "ingesting": (posted, first["asked"]), "first_request": (first["asked"], 1e18)}
    result: dict[str, Any] = {"first_request_first_token": first["first"]}
    for name, (start, end) in ends.items():
        some = [one for one in done if one["ended"] > start and one["asked"] < end]
        result[name] = {
            "streams": len(some),
            "first_token_p50": median(one["first"] for one in some),
            "first_token_max": max(one["first"] for one in some),
            "gap_max": max(one["gap"] for one in some),
        }
    return result


def table(results: dict[str, Any]) -> str:
    """The results as a page."""
    names = {
        "quiet": "nothing else",
        "ingesting": "after the post",
        "first_request": "the other user's first request",
    }
    rows = [
        f"| {label} | {names[phase]} | {one[phase]['streams']} | {one[phase]['first_token_p50']:.2f} | "
        f"{one[phase]['first_token_max']:.2f} | {one[phase]['gap_max']:.2f} |"
        for label, one in results.items()
        for phase in names
    ]
    firsts = "; ".join(f"{label} {one['first_request_first_token']:.1f} s" for label, one in results.items())
    return "\n".join(
        [
            "# Answers while a long history arrives",
            "",
            "SmolLM2-135M on two cores. One user's streams, one after the other, while another user's history of about "
            f"20,000 tokens is posted; that user asks {UNTIL_ASKED:.0f} s later. Seconds to the first token of the "
            "streams (median, longest), and the longest time between two of their tokens.",
            "",
            "| server | meanwhile | streams | first token, p50 | longest | longest gap |",
            "|---|---|--:|--:|--:|--:|",
            *rows,
            "",
            f"First token of the other user's first request: {firsts}.",
            "",
            "`python -m penchant_lab.serving.ingestion --label LABEL`",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.serving.ingestion", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--label", default="after", help="the name of this version in the table")
    parser.add_argument("--source", type=Path, help="sources of another version, which is measured")
    options = parser.parse_args()
    make_folder(options.out)
    if options.source is not None:
        os.environ["PYTHONPATH"] = str(options.source.resolve())
    file = options.out / "serving-ingestion.json"
    results = json.loads(file.read_text(encoding="utf-8"))["servers"] if file.exists() else {}
    results[options.label] = measure()
    document = {"command": f"python -m penchant_lab.serving.ingestion --label {options.label}", **provenance()}
    file.write_text(json.dumps({**document, "servers": results}, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving-ingestion.md").write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    run_and_exit(main)
