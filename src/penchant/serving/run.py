"""Runs the server in this process."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable

import uvicorn

from penchant.errors import InputError
from penchant.hints import command
from penchant.serving.app import GRACE, create_app
from penchant.serving.observation import log
from penchant.serving.service import Service
from penchant.store import Store

BODY_TIMEOUT = 30
"""Seconds that a connection may stay idle."""


def check_address(host: str, store: Store) -> None:
    """Raise `InputError` for an address that others can reach, if the store has no keys that protect it."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise InputError(f"host {host!r:.80} is no address: expected one such as 127.0.0.1") from None
    if not loopback and not store.api_keys.exist():
        raise InputError(
            f"host {host} can be reached by others, and the store has no keys: make one with "
            f"{command('keys create', 'acme', **store.options)}, or use 127.0.0.1"
        )


def _log_requests() -> None:
    """Write a line of JSON for each request to stderr, as it is: log collectors read it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def run_server(service: Service, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM); then finish what was taken. Raises `InputError` for an
    address that can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            service.close(0)
            raise InputError(f"can't listen at {host}:{port} ({error.strerror}): choose another --port") from None
        address = f"[{host}]" if ":" in host else host
        _log_requests()
        say(f"{service.model} at http://{address}:{listening.getsockname()[1]}/v1 (Ctrl-C ends it)")
        config = uvicorn.Config(
            create_app(service),
            log_level=logging.WARNING,
            access_log=False,
            timeout_keep_alive=BODY_TIMEOUT,
            timeout_graceful_shutdown=int(GRACE),
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[listening])
