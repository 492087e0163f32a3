"""Who is asking: from what a client can send, never guessed."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from penchant.serving.errors import ApiError
from penchant.store.api_keys import ApiKey

HEADERS = ("x-penchant-user", "x-openwebui-user-id", "x-litellm-end-user-id")
LOOPBACK = ("127.0.0.0/8", "::1/128")
USER_ID = 1_000
"""Most characters of a user id, as in the store."""


@dataclass(frozen=True)
class Identity:
    """A user. user: the id in the store. source: where it came from: "user", "user_id", "metadata.user_id",
    "header:NAME", "model", "url", "key". name: the id that the client knows (None: the same); clients with keys know
    nothing of their tenant.
    """

    user: str
    source: str
    name: str | None = None

    @property
    def shown(self) -> str:
        """The id for the client."""
        return self.user if self.name is None else self.name


@dataclass(frozen=True)
class IdentityRules:
    """Where user ids are looked for besides the body. headers: names, in lower case; only requests of `trusted`
    networks, or with a key, may use them. models: names that a client may extend, as in "smollm2@alice".

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
        key: ApiKey | None = None,
    ) -> Identity | None:
        """Return who is asking; None if the request names nobody. peer: the address it came from. url_user: from the
        URL's prefix. key: the request's, whose tenant the user belongs to.

        Raises `ApiError` for an id that is no text, and for two different ids, and `InputError` for one that the key
        can't use.
        """
        found = [*_in_body(body), *self._in_headers(headers, self.trusts(peer) or key is not None)]
        _, user = self.split_model(body.get("model"))
        found += [Identity(user, "model")] if user else []
        found += [Identity(url_user, "url")] if url_user else []
        found += [Identity(key.user, "key")] if key is not None and key.user else []
        for one in found:
            _check(one)
        if len({one.user for one in found}) > 1:
            named = ", ".join(f"{one.user!r:.40} ({one.source})" for one in found)
            raise ApiError(400, f"the request names different users: {named}; name one", param="user", code="two_users")
        if not found or key is None:
            return found[0] if found else None
        return replace(found[0], user=key.stored_user(found[0].user), name=found[0].user)

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

    def _in_headers(self, headers: Mapping[str, str], trusted: bool) -> list[Identity]:
        given = [(name, headers[name]) for name in self.headers if headers.get(name)]
        if given and not trusted:
            name = given[0][0]
            raise ApiError(
                403,
                f"the header {name} is taken from trusted addresses only: name the user in the body, or let the "
                "operator trust this address",
                code="untrusted_header",
            )
        return [Identity(unquote(value), f"header:{name}") for name, value in given]

    def trusts(self, peer: str | None) -> bool:
        """Whether an address is in a trusted network; a Unix socket, which has none, is."""
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
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
