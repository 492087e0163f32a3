"""Make the environments of the peers: `python -m penchant_lab.peers all`, or the names of some. Each lies in the folder
`.venv` of its peer; one that fits its requirements is left as it is."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: By its exact version and before all else: any other spelling may pull a build for another machine.
TORCH = "torch==2.13.0"
STAMP = "installed.txt"


def known() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/peer.toml"))


def make(folder: Path) -> str:
    """Make the environment of one peer, anew where its requirements have changed; says what was done."""
    wanted = (folder / "requirements.txt").read_bytes()
    environment = folder / ".venv"
    stamp = environment / STAMP
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return "is there already"
    began = time.perf_counter()
    venv.create(environment, clear=True, with_pip=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for what in ([TORCH], ["--requirement", str(folder / "requirements.txt")]):
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    stamp.write_bytes(wanted)  # last, so that half an environment is never taken for a whole one
    size = sum(file.lstat().st_size for file in environment.rglob("*") if not file.is_dir())
    return f"made in {time.perf_counter() - began:.0f} s, {size / 1e9:.1f} GB"


def main(arguments: Sequence[str] | None = None) -> int:
    names = known()
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.peers", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*names, "all"], metavar="NAME", help=f"{', '.join(names)} or all")
    chosen = parser.parse_args(arguments).names
    failed = False
    for name in names if "all" in chosen else chosen:
        try:
            print(f"{name}: {make(HERE / name)}", flush=True)
        except (OSError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"{name}: can't be made: {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
