"""Other engines that answer (`penchant serve --upstream`): which one a model means, and what each may get."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from penchant.errors import InputError
from penchant.inference.endpoint import base_url, is_loopback
from penchant.sharing import EVERYTHING, Sharing

ANY = ""
"""The name of the upstream that answers for all models which aren't here."""
CONNECT, SILENT = 10.0, 300.0
"""Seconds until a connection is there, and that an upstream may be silent."""
_LISTING = 5.0


@dataclass(frozen=True)
class Upstream:
    """An engine. name: of its model for clients (`ANY`: all that aren't here). url: up to the version. sharing: which
    records may leave for it. send_users: whether it may know who is asking. silent: seconds until it counts as dead.
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    sharing: Sharing = EVERYTHING
    send_users: bool = False
    silent: float = SILENT

    @property
    def title(self) -> str:
        """How errors name it."""
        return f"the upstream {self.name}" if self.name else "the upstream"

    @cached_property
    def client(self) -> httpx.AsyncClient:
        """Its connections, in one event loop."""
        return httpx.AsyncClient(
            timeout=httpx.Timeout(self.silent, connect=CONNECT),
            limits=httpx.Limits(max_connections=None),
            trust_env=not is_loopback(self.url),  # a proxy of the environment can't reach this machine
        )

    def headers(self, path: str) -> dict[str, str]:
        """Return the headers with the key for a path of the API."""
        if not self.key:
            return {}
        if path == "/messages" and httpx.URL(self.url).host.endswith("anthropic.com"):
            return {"x-api-key": self.key}
        return {"authorization": f"Bearer {self.key}"}

    async def models(self) -> list[dict[str, Any]]:
        """Return the models that it lists; none, if it doesn't answer soon."""
        try:
            response = await self.client.get(f"{self.url}/models", headers=self.headers("/models"), timeout=_LISTING)
            found = response.json()["data"] if response.is_success else []
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return []
        return [one for one in found if isinstance(one, dict) and isinstance(one.get("id"), str)]


class Upstreams:
    """The upstreams by the names of models."""

    def __init__(self, given: Iterable[Upstream]) -> None:
        self._named = {one.name: one for one in given}

    def __bool__(self) -> bool:
        return bool(self._named)

    @property
    def names(self) -> list[str]:
        return [name for name in self._named if name != ANY]

    def find(self, model: str | None, local: Iterable[str]) -> Upstream | None:
        """Return the upstream of a model; None: the model is the local one, or nobody's."""
        if model is None or model in local:
            return None
        return self._named.get(model) or self._named.get(ANY)

    async def models(self) -> list[dict[str, Any]]:
        """Return what `/v1/models` says of them."""
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "upstream"} for name in self.names]
        if ANY in self._named:
            listed += [one for one in await self._named[ANY].models() if one["id"] not in self._named]
        return listed

    async def close(self) -> None:
        """Close the connections."""
        for one in self._named.values():
            await one.client.aclose()


def parse_upstreams(
    urls: Sequence[str],
    keys: Sequence[str] = (),
    shares: Sequence[str] = (),
    *,
    send_users: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Upstream, ...]:
    """Return the upstreams of options: "[NAME=]URL", keys as "[NAME=]VARIABLE", rules of `Sharing` as "[NAME=]RULES".

    Raises `InputError` for a URL that is none, a name that is given twice or belongs to no upstream, a variable without
    a key, and an upstream on another machine for which nothing was said about which records may leave.
    """
    named = dict[str, str]()
    for given in urls:
        name, url = (ANY, given) if "://" in given.partition("=")[0] else _split(given)
        if name in named:
            raise InputError(f"two upstreams are named {name or 'nothing'!r:.60}: give each a name, as NAME=URL")
        named[name] = base_url(url)
    variables, rules = _by_name(keys, named, "--upstream-key"), _by_name(shares, named, "--share")
    made = []
    for name, url in named.items():
        variable = variables.get(name)
        if variable is not None and not environment.get(variable, "").strip():
            raise InputError(f"--upstream-key {variable}: expected an environment variable that holds a key")
        if name not in rules and not is_loopback(url):
            option = f"{name}=" if name else ""
            raise InputError(
                f"the upstream {url} is on another machine: say which records may be sent there, once: --share "
                f"{option}all (all but private ones), --share {option}kind:review,-tag:health, or --share {option}none"
            )
        sharing = Sharing.parse(rules[name]) if name in rules else EVERYTHING
        key = environment[variable].strip() if variable is not None else ""
        made.append(Upstream(name, url, key, sharing, send_users))
    return tuple(made)


def _by_name(given: Sequence[str], named: Mapping[str, str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, value = _split(one) if "=" in one else (ANY, one)
        if name not in named:
            raise InputError(
                f"{option} {one!r:.80} belongs to no upstream: expected one of --upstream's names before ="
            )
        found[name] = value
    return found


def _split(given: str) -> tuple[str, str]:
    name, found, value = given.partition("=")
    return (name.strip(), value.strip()) if found else (ANY, given)
