"""Run real clients against a server: `python -m penchant_lab.clients`, or the names of some.

Each asks "Who is my dentist?" for a user whose history says it, in every way that its program knows. One fails if any
of its answers lacks the name, or if it says nothing. Packages are installed into Penchant's data folder, once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from penchant import Personalizer, Store
from penchant.cli.output import run_and_exit
from penchant.errors import InputError, PenchantError
from penchant.serving.app import create_app
from penchant.serving.service import ServerSettings, Service
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.clients.environments import Client, clients
from penchant_lab.model_options import add_model_options, parsed

USER = "ruth"
HISTORY = ("My dentist is Dr. Amara Okafor, on Elm Street.", "I like long walks.", "My cat is called Moss.")
WANTED = "Okafor"
TIMEOUT = 300.0
"""Seconds for a program."""


@contextmanager
def serving(model: str) -> Iterator[str]:
    """Serve a store with the one user; give the server's address."""
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        store.add(USER, list(HISTORY))
        store.add("otto", ["My dentist is Dr. Hugo Lindqvist."])
        service = Service(Personalizer(model, store=store), ServerSettings(max_tokens=160))
        server = uvicorn.Server(uvicorn.Config(create_app(service), port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise InputError("the server didn't start: its log says why")
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def run(client: Client, base: str) -> dict[str, Any]:
    """Run a client's program; return its answers by the way that it asked, or what went wrong."""
    left = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    offline = {"BASE": base, "OPENAI_API_KEY": "none", "PYTHONNOUSERSITE": "1", "NO_PROXY": "127.0.0.1"}
    offline |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # otherwise it looks for prices on the network
    try:
        client.make()
        done = subprocess.run(
            client.command, env={**left, **offline}, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (PenchantError, OSError, subprocess.TimeoutExpired) as error:
        return {"passed": False, "answers": {}, "error": str(error)[:300]}
    pairs = (line.partition(": ") for line in done.stdout.splitlines())
    answers = {way: answer.strip() for way, found, answer in pairs if found}
    said = done.stderr.strip().splitlines()
    failed = None if done.returncode == 0 else (said[-1] if said else f"exit {done.returncode}")[:300]
    personal = bool(answers) and all(WANTED in answer for answer in answers.values())
    return {"passed": failed is None and personal, "answers": answers, "error": failed}


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    rows = []
    for name, client in clients().items():
        if (one := result["clients"].get(name)) is None:
            continue
        ways = ", ".join(one["answers"]) or "-"
        told = "personal" if one["passed"] else f"no: {one['error'] or 'an answer without the name'}"
        packages = ", ".join((*client.packages, *client.npm)) or "the system's"
        rows.append(f"| {name} | {packages} | {client.api} | {client.user} | {ways} | {told} |")
    return "\n".join(
        [
            "# Real clients of the server",
            "",
            f'"Who is my dentist?", asked by each client in an environment of its own, for a user whose history of '
            f"{len(HISTORY)} records says it; {result['model']}. Another user of the store has another dentist.",
            "",
            "| client | packages | API | the user travels by | asked | answers |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"`{result['command']}`",
            "",
        ]
    )


def main() -> int:
    known = clients()
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, if none is named: {', '.join(known)}")
    parser.add_argument("--out", type=Path, help="a folder for clients.json and clients.md")
    add_model_options(parser)
    options = parsed(parser)
    if unknown := [name for name in options.names if name not in known]:
        raise InputError(f"no client {unknown[0]!r}: expected one of {', '.join(known)}")
    command = " ".join(["python -m penchant_lab.clients", *options.names])
    found: dict[str, Any] = {}
    result = {"command": command, **provenance(), "model": str(options.model), "clients": found}
    if options.out is not None:
        make_folder(options.out)
    with serving(options.model) as base:
        for name in options.names or known:
            found[name] = run(known[name], base)
            print(f"{name}: {json.dumps(found[name], ensure_ascii=False)}", file=sys.stderr, flush=True)
            if options.out is not None:  # after each: the next one may take minutes
                document = json.dumps(result, indent=1, ensure_ascii=False)
                (options.out / "clients.json").write_text(f"{document}\n", encoding="utf-8")
                (options.out / "clients.md").write_text(table(result), encoding="utf-8")
    print(table(result))
    return 0 if all(one["passed"] for one in found.values()) else 1


if __name__ == "__main__":
    run_and_exit(main)
