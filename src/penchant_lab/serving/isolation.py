"""Whether users stay apart under load: `python -m penchant_lab.serving.isolation`.

A server in a process of its own, with a tiny random model unless another is named; many users, whose records hold
canaries; clients that send a mix of everything (`visitors.py`). Then every answer, header, error, metric and line of
the log was looked through. A random model doesn't repeat what it read, so its answers are also compared with those that
it gave alone: what leaks through a cache shows there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from penchant.cli.output import run_and_exit
from penchant.extras import require
from penchant.lens.calibration import Calibration, save_calibration
from penchant.models.loading import load_model
from penchant.store import Store
from penchant_lab.bench.provenance import provenance
from penchant_lab.bench.results import make_folder
from penchant_lab.families.tiny import tiny_network, tiny_tokenizer
from penchant_lab.serving.speed import free_port
from penchant_lab.serving.visitors import Seen, crowd, leaks, people

HEADS, WEIGHTS = ((1, 2), (2, 0)), (1.0, 0.5)
TENANTS = 3  # an odd number: each has persons whose records change, and others
START = 300.0  # seconds


def save_tiny(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write a tiny model with a calibration; return its folder, and the environment in which a server finds both."""
    model = folder / "tiny"
    tiny_network("llama").save_pretrained(model)
    tiny_tokenizer().save_pretrained(model)
    loaded = load_model(model)
    made = Calibration(loaded.name, loaded.fingerprint, HEADS, WEIGHTS, prefix="<|user|>")
    save_calibration(made, folder / "cache" / "calibrations" / "tiny.json")
    return model, {"PENCHANT_CACHE": str(folder / "cache")}


@contextmanager
def served(folder: Path, model: str | None, log: Path) -> Iterator[str]:
    """Run a server until the end of the context, and give its URL. What it prints goes to `log`."""
    environment: dict[str, str] = {}
    if model is None:
        tiny, environment = save_tiny(folder)
        model = str(tiny)
    port = free_port()
    command = [sys.executable, "-m", "penchant", "--verbose", "serve", "--port", str(port), f"--model={model}"]
    command += ["--store", str(folder / "store"), "--dtype", "float32"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
        try:
            url, began = f"http://127.0.0.1:{port}", time.monotonic()
            while not _ready(url):
                if process.poll() is not None or time.monotonic() - began > START:
                    raise RuntimeError(log.read_text(errors="replace")[-2000:])
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


def run(model: str | None, *, users: int, clients: int, requests: int, seed: int) -> dict[str, Any]:
    """Serve, send everything, and return what was found."""
    persons = people(users, seed)
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        log = folder / "server.log"
        with Store(folder / "store") as store:
            keys = [store.api_keys.create(f"tenant-{number}", "admin")[1] for number in range(TENANTS)]
        with served(folder, model, log) as url:
            began = time.perf_counter()
            seen = crowd(url, persons, clients=clients, requests=requests, seed=seed, keys=keys)
            seconds = time.perf_counter() - began
            metrics = httpx.get(f"{url}/metrics")
        written = log.read_text(errors="replace")
    return {
        "users": users, "clients": clients, "requests": requests, "seconds": round(seconds, 1), **noted(seen),
        "log": {"bytes": len(written.encode()), "canaries": len(list(leaks(written)))},
        "metrics": {"status": metrics.status_code, "canaries": len(list(leaks(metrics.text)))},
    }  # fmt: skip


def noted(seen: Seen) -> dict[str, Any]:
    """Return what was seen, ready for JSON."""
    return {name: getattr(seen, name) for name in ("statuses", "own", "foreign", "failures", "compared", "differing")}


def table(result: dict[str, Any]) -> str:
    """The result as a page."""
    one = result["isolation"]
    rows = []
    for kind, statuses in sorted(one["statuses"].items()):
        said = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
        rows.append(
            f"| {kind} | {sum(statuses.values()):,} | {said} | {one['own'].get(kind, 0):,} | "
            f"{one['foreign'].count(kind)} |"
        )
    return "\n".join(
        [
            "# Whether users stay apart",
            "",
            f"{one['users']} users, {one['clients']} clients at once, {one['requests']:,} drawn requests (some send "
            f"two) in {one['seconds']:,.0f} s, {TENANTS} tenants with a key each, model: {result['model']}. "
            "Answers with words of who asked, and with "
            "words of anybody else.",
            "",
            "| kind | answers | statuses | own words | foreign words |",
            "|---|--:|---|--:|--:|",
            *rows,
            "",
            f"Answers compared with the same answer given alone: {one['compared']:,}; different: {one['differing']}. "
            f"The server's log: {one['log']['bytes']:,} bytes with {one['log']['canaries']} canaries. Its metrics "
            f"(status {one['metrics']['status']}): {one['metrics']['canaries']} canaries.",
            "",
            f"`{result['command']}`",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.serving.isolation", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("model", nargs="?", help="default: a tiny random one")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=5_000)
    options = parser.parse_args()
    require("fastapi", "uvicorn", extra="serve", why="the server")
    make_folder(options.out)
    sizes = {"users": options.users, "clients": options.clients, "requests": options.requests}
    source = provenance()  # of what is about to run: files may change meanwhile
    found = run(options.model, **sizes, seed=5)
    flags = " ".join(f"--{name} {value}" for name, value in sizes.items())
    model = f" {options.model}" if options.model else ""
    command = f"python -m penchant_lab.serving.isolation {flags}{model}"
    result = {"command": command, **source, "model": options.model or "tiny, random", "isolation": found}
    (options.out / "serving-isolation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving-isolation.md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    run_and_exit(main)
