"""The server beside transformers' own: `python -m penchant_lab.serving.speed`.

Both serve the same weights in a process of its own. Users have histories of about 4,000 tokens. A request to
transformers' server carries the user's whole history; one to Penchant's carries the question and says who asks. First
the server answers one request alone, repeatedly (time to first token, warm), then 16 clients ask at once (throughput).
Penchant has read the histories before, as a server does when records arrive; how long that took is reported. A third
row is Penchant's server with the same profiles sent as plain messages: what marking adds to the time to first token.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from penchant import Store
from penchant.cli.output import run_and_exit
from penchant.compression.layout import lay_out
from penchant.compression.prompt import answer_messages
from penchant.errors import InputError
from penchant.extras import require
from penchant.history.records import Request
from penchant.history.segmentation import segment
from penchant.lens.synthetic import needle_histories
from penchant.models.loading import load_model
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder

RECORDS, ANSWER, CLIENTS = 110, 32, 16  # about 4,000 tokens
TIMEOUT = 1200.0
START = 180.0  # seconds

Body = dict[str, Any]


@contextmanager
def serving(*command: str, port: int, ready: str) -> Iterator[httpx.Client]:
    """Run a server until the end of the context; give a client once the path `ready` answers."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT) as client:
                began = time.monotonic()
                while not _is_ready(client, ready):
                    if process.poll() is not None or time.monotonic() - began > START:
                        log.seek(0)
                        raise RuntimeError(log.read()[-2000:].decode(errors="replace"))
                    time.sleep(0.2)
                yield client
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def first_token(client: httpx.Client, body: Body) -> tuple[float, float]:
    """Return the seconds to the first text of a streamed answer, and to its end."""
    began, first = time.perf_counter(), None
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        if response.status_code != 200:
            raise RuntimeError(response.read().decode(errors="replace"))
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise RuntimeError(line)
            choices = chunk["choices"]
            if first is None and choices and choices[0]["delta"].get("content"):
                first = time.perf_counter() - began
    whole = time.perf_counter() - began
    return first if first is not None else whole, whole


def measure(client: httpx.Client, bodies: list[Body], alone: int, crowd: int) -> dict[str, Any]:
    """Return times of `alone` requests one after the other, and of the next `crowd` from `CLIENTS` clients."""
    single = [first_token(client, body) for body in bodies[:alone]]
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        many = list(pool.map(lambda body: first_token(client, body), bodies[alone : alone + crowd]))
    seconds = time.perf_counter() - began
    firsts = [first for first, _ in single]
    return {
        "first_token_p50": median(firsts),
        "first_token_p95": quantiles(firsts, n=20)[-1] if len(firsts) > 1 else firsts[0],
        "crowd_first_token_p50": median(first for first, _ in many),
        "requests_per_second": crowd / seconds,
        "alone": alone,
        "crowd": crowd,
    }


def run(users: int, alone: int, crowd: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all servers, one after the other."""
    histories = needle_histories(users, RECORDS, seed=11)
    names = [f"user-{number}" for number in range(users)]
    # Each request has a question of its own: none is answered from what was read for the same one before.
    asked = [
        (number, one.questions[turn].request.query)
        for turn in range(min(len(one.questions) for one in histories))
        for number, one in enumerate(histories)
    ]
    need = 2 * alone + CLIENTS + crowd + 3
    if len(asked) < need:
        raise InputError(f"{users} users have {len(asked)} questions: expected {need}; raise --users")
    common = {"max_tokens": ANSWER, "temperature": 0}
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with Store(folder) as store:
            for name, one in zip(names, histories, strict=True):
                store.add(name, one.history)
        port = free_port()
        command = (
            sys.executable,
            "-m",
            "penchant",
            "serve",
            "--port",
            str(port),
            "--store",
            folder,
            "--dtype",
            "float32",
        )
        with serving(*command, port=port, ready="/readyz") as client:
            bodies: list[Body] = [
                {**common, "messages": [{"role": "user", "content": query}], "user": names[number]}
                for number, query in asked[:need]
            ]
            began = time.perf_counter()
            for body in bodies[:users]:
                client.post("/v1/render", json=body)
            result["encode_seconds"] = time.perf_counter() - began
            say(f"histories read: {result['encode_seconds']:.0f} s")
            measure(client, bodies[:3], 2, 1)  # warms the process
            plain, mine = bodies[3 : 3 + alone + CLIENTS], bodies[3 + alone + CLIENTS :]
            rendered = [client.post("/v1/render", json=body).json() for body in plain]
            result["prompt_tokens"] = median(one["prompt_tokens"] for one in rendered)
            plain = [
                {**body, "messages": one["messages"], "penchant": {"knowledge": "none"}}
                for body, one in zip(plain, rendered, strict=True)
            ]
            result["plain"] = measure(client, plain, alone, CLIENTS)
            say(f"Penchant, profiles sent by the client: {result['plain']}")
            result["penchant"] = measure(client, mine, alone, crowd)
            say(f"Penchant: {result['penchant']}")
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_model("smollm2", dtype="float32")
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        full: list[Body] = []
        for number, query in asked[: alone + CLIENTS]:
            history = histories[number].history
            notes = lay_out(history, segment(history, "record"))
            full.append({**common, "model": folder, "messages": answer_messages(notes, Request(query))})
        for name, flags in (("transformers", ()), ("transformers_continuous", ("--continuous-batching",))):
            result[name] = theirs(folder, flags, full, common, max(2, alone // 5))
            say(f"{name}: {result[name]}")
    return result


def theirs(model: str, flags: tuple[str, ...], bodies: list[Body], common: Body, alone: int) -> dict[str, Any]:
    """Measure transformers' server; an error of it is the result."""
    port = free_port()
    program = str(Path(sys.executable).with_name("transformers"))
    command = (program, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", *flags)
    try:
        with serving(*command, port=port, ready="/health") as client:
            first_token(client, {**common, "model": model, "messages": [{"role": "user", "content": "Hello"}]})
            return measure(client, bodies, alone, CLIENTS)
    except (RuntimeError, httpx.HTTPError) as error:
        return {"failed": " ".join(str(error).split())[-300:]}


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    names = {
        "penchant": "Penchant, who asks",
        "plain": "Penchant, the same messages without marking",
        "transformers": "transformers serve, full histories",
        "transformers_continuous": "transformers serve --continuous-batching, full histories",
    }
    rows = []
    for key, name in names.items():
        one = result["servers"][key]
        if "failed" in one:
            rows.append(f"| {name} | failed: {one['failed']} | | | |")
            continue
        rows.append(
            f"| {name} | {one['first_token_p50']:.2f} | {one['first_token_p95']:.2f} | "
            f"{one['crowd_first_token_p50']:.2f} | {one['requests_per_second']:.3f} |"
        )
    servers = result["servers"]
    return "\n".join(
        [
            "# The server beside transformers' own",
            "",
            f"SmolLM2-135M in float32 on two cores; {result['users']} users with histories of about 4,000 tokens; "
            f"answers of {ANSWER} tokens. Seconds to the first token, one request at a time (median, 95th percentile) "
            f"and with {CLIENTS} clients (median); requests per second with {CLIENTS} clients. Penchant had read the "
            f"histories before, in {servers['encode_seconds']:.0f} s; its prompts have "
            f"{servers['prompt_tokens']:.0f} tokens.",
            "",
            "| server | first token, p50 | p95 | first token, crowd | requests/s |",
            "|---|--:|--:|--:|--:|",
            *rows,
            "",
            f"`{result['command']}`",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.serving.speed", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--alone", type=int, default=15, help="requests that are asked one after the other")
    parser.add_argument("--crowd", type=int, default=48, help=f"requests that {CLIENTS} clients ask")
    options = parser.parse_args()
    require("fastapi", "uvicorn", extra="serve", why="the server")
    make_folder(options.out)
    servers = run(options.users, options.alone, options.crowd, lambda line: print(line, flush=True))
    command = (
        f"python -m penchant_lab.serving.speed --users {options.users} --alone {options.alone} --crowd {options.crowd}"
    )
    result = {"command": command, **provenance(), "users": options.users, "servers": servers}
    (options.out / "serving-speed.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving-speed.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
