"""Make the environments of the peers: `python -m penchant_lab.peers all`, or the names of some. They lie in the folder
`peers` of Penchant's data; one that fits its requirements is left as it is."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import venv
from collections.abc import Sequence

from penchant.cli.output import run_and_exit
from penchant_lab.peers.client import STAMP, PeerFolder, find_peers

#: By its exact version and before all else: any other spelling may pull a build for another machine.
TORCH = "torch==2.13.0"


def make(peer: PeerFolder) -> str:
    """Make the environment of one peer, anew where its requirements have changed; says what was done."""
    requirements = peer.path / "requirements.txt"
    wanted = requirements.read_bytes()
    stamp = peer.environment / STAMP
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return f"is already in {peer.environment}"
    began = time.perf_counter()
    venv.create(peer.environment, clear=True, with_pip=True)
    for what in ([TORCH], ["--requirement", str(requirements)]):
        pip = [str(peer.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    stamp.write_bytes(wanted)  # last, so that half an environment is never taken for a whole one
    size = sum(file.lstat().st_size for file in peer.environment.rglob("*") if not file.is_dir())
    return f"made in {peer.environment} in {time.perf_counter() - began:.0f} s, {size / 1e9:.1f} GB"


def main(arguments: Sequence[str] | None = None) -> int:
    peers = find_peers()
    parser = argparse.ArgumentParser(prog="python -m penchant_lab.peers", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*peers, "all"], metavar="NAME", help=f"{', '.join(peers)} or all")
    chosen = parser.parse_args(arguments).names
    failed = False
    for name in peers if "all" in chosen else chosen:
        try:
            print(f"{name}: {make(peers[name])}", flush=True)
        except (OSError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"{name}: can't be made: {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    run_and_exit(main)
