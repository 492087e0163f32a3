"""LLMLingua v1 and LongLLMLingua (the peer `llmlingua`, see penchant_lab/peers), each run in a separate process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penchant.errors import ModelError
from penchant_lab.peers.client import MAKE, Peer, find_peers

INSTALL = f"{MAKE} llmlingua"


def llmlingua(payload: dict[str, Any], peers: Path | None = None) -> dict[str, Any] | None:
    """What the peer says of a compression: seconds, tokens fed and got, peak memory; {"failed": why} where it failed,
    None where it isn't installed (`INSTALL` is the command that does it).

    payload: model (directory), dtype, threads, passages, request, history_tokens, ratio, long (bool), runs.
    peers: the folder of peers, None for `find_peers`' default. Raises `InputError` for a named folder that isn't there.
    """
    folder = find_peers(peers).get("llmlingua")
    if folder is None:
        return None
    try:
        folder.check()
    except ModelError:
        return None
    load = {key: payload[key] for key in ("model", "dtype", "threads")}
    try:
        with Peer(folder, load) as peer:
            return peer.ask("time", **payload)
    except ModelError as error:
        return {"failed": " ".join(str(error).split())}
