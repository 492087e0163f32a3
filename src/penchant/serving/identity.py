"""Who is asking: from what a client can send, never guessed."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from penchant.serving.errors import ApiError

HEADERS = ("x-penchant-user", "x-openwebui-user-id", "x-litellm-end-user-id")
LOOPBACK = ("127.0.0.0/8", "::1/128")
USER_ID = 1_000
"""Most characters of a user id, as in the store."""


@dataclass(frozen=True)
class Identity:
    """A user, and where the id came from: "user", "user_id", "metadata.user_id", "header:NAME", "model", "url",
    "key"."""

    user: str
    source: str


@dataclass(frozen=True)
class IdentityRules:
    """Where user ids are looked for besides the body. headers: names, in lower case; only requests of `trusted`
    networks may use them. models: names that a client may extend, as in "smollm2@alice".

    The id never comes from `safety_identifier`: it is often a hash.
    """

    headers: tuple[str, ...] = HEADERS
    trusted: tuple[str, ...] = LOOPBACK
    models: Collection[str] = ()

    def find(
        self,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        peer: str | None = None,
        url_user: str | None = None,
        key_user: str | None = None,
    ) -> Identity | None:
        """Return who is asking; None if the request names nobody. peer: the address it came from. url_user: from the
        URL's prefix. key_user: the one user of the key.

        Raises `ApiError` for an id that is no text, and for two different ids.
        """
        found = [*_in_body(body), *self._in_headers(headers, peer)]
        _, user = self.split_model(body.get("model"))
        found += [Identity(user, "model")] if user else []
        found += [Identity(url_user, "url")] if url_user else []
        found += [Identity(key_user, "key")] if key_user else []
        for one in found:
            _check(one)
        if len({one.user for one in found}) > 1:
            named = ", ".join(f"{one.user!r:.40} ({one.source})" for one in found)
            raise ApiError(400, f"the request names different users: {named}; name one", param="user", code="two_users")
        return found[0] if found else None

    def split_model(self, model: Any) -> tuple[str | None, str | None]:
        """Return the model of a name like "smollm2@alice", and the user in it."""
        if not isinstance(model, str):
            return None, None
        for known in sorted(self.models, key=len, reverse=True):
            if model == known:
                return model, None
            if model.startswith(f"{known}@"):
                return known, model[len(known) + 1 :] or None
        at = model.find("@", 1)
        return (model, None) if at < 0 else (model[:at], model[at + 1 :] or None)

    def _in_headers(self, headers: Mapping[str, str], peer: str | None) -> list[Identity]:
        given = [(name, headers[name]) for name in self.headers if headers.get(name)]
        if given and not self._trusts(peer):
            name = given[0][0]
            raise ApiError(
                403,
                f"the header {name} is taken from trusted addresses only: name the user in the body, or let the "
                "operator trust this address",
                code="untrusted_header",
            )
        return [Identity(unquote(value), f"header:{name}") for name, value in given]

    def _trusts(self, peer: str | None) -> bool:
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:  # a Unix socket has no address
            return peer is None
        return any(address in ipaddress.ip_network(network) for network in self.trusted)


def _in_body(body: Mapping[str, Any]) -> list[Identity]:
    metadata = body.get("metadata")
    given = [
        ("user", body.get("user")),
        ("user_id", body.get("user_id")),
        ("metadata.user_id", metadata.get("user_id") if isinstance(metadata, Mapping) else None),
    ]
    found = []
    for source, value in given:
        one = value.get("id") if isinstance(value, Mapping) else value
        if one is None or one == "":
            continue
        if not isinstance(one, str):
            raise ApiError(400, f"{source} is {one!r:.40}: expected a text", param=source, code="invalid_user")
        found.append(Identity(one, source))
    return found


def _check(one: Identity) -> None:
    if len(one.user) > USER_ID or not one.user.isprintable():
        raise ApiError(
            400,
            f"the user id in {one.source} is invalid: expected at most {USER_ID:,} printable characters",
            param=one.source,
            code="invalid_user",
        )
