"""Keys of the server's clients: who may ask, for whose users, and how much."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

import sqlalchemy as sa

from penchant.errors import InputError
from penchant.store.engine import reading, writing
from penchant.store.keys import checked
from penchant.store.schema import api_keys, microseconds, moment

Scope = Literal["read", "write", "admin"]
"""What a key may do: ask and look; also add; also export and erase."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_TENANT = "default"
"""The tenant of the operator's own users, whose ids have no prefix."""

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY = re.compile(r"pk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NEVER = "0" * 64


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored. id: to name it by; it is no secret. tenant: whose users it sees. user: the only one of
    them that it sees (None: all). rate: requests a minute; body_bytes: largest body (None: the server's limits).
    """

    id: str
    tenant: str
    scope: Scope
    created: datetime
    user: str | None = None
    rate: int | None = None
    body_bytes: int | None = None
    revoked: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key may do what needs this scope; each scope has those before it."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def stored_user(self, user: str) -> str:
        """Return the id in the store of a user that a client of this key names: "acme/ruth". What the client says
        always stands behind the tenant's name, so that no id leads out of the tenant. Raises `InputError` for an id
        that could be another tenant's.
        """
        if self.tenant != DEFAULT_TENANT:
            return f"{self.tenant}/{user}"
        if "/" in user:
            raise InputError(f"the user id {user!r:.40} can't be used with this key: expected an id without '/'")
        return user


class ApiKeys:
    """The keys in a store. Thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(
        self,
        tenant: str,
        scope: str,
        *,
        user: str | None = None,
        rate: int | None = None,
        body_bytes: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return it with its text, which is shown this once: only a hash is stored.

        Raises `InputError` for a tenant, a scope, a user or a limit that can't be.
        """
        if not _TENANT.fullmatch(tenant):
            raise InputError(
                f"the tenant {tenant!r:.70} can't be used: expected up to 63 of a-z, 0-9 and -, such as 'acme'"
            )
        wanted = next((one for one in SCOPES if one == scope), None)
        if wanted is None:
            raise InputError(f"the scope {scope!r:.40} is unknown: expected one of {', '.join(SCOPES)}")
        for name, limit in (("requests a minute", rate), ("bytes of a body", body_bytes)):
            if limit is not None and limit < 1:
                raise InputError(f"a limit of {limit} {name}: expected at least 1")
        one, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = ApiKey(one, tenant, wanted, datetime.now(UTC), user, rate, body_bytes)
        stored = None if user is None else checked(key.stored_user(checked(user)))
        row = {
            "id": one,
            "hash": _hash(secret),
            "tenant": tenant,
            "scope": wanted,
            "user": stored,
            "rate": rate,
            "body_bytes": body_bytes,
            "created": microseconds(key.created),
        }
        with writing(self._engine) as connection:
            connection.execute(sa.insert(api_keys).values(row))
        return key, f"pk_{one}_{secret}"

    def list(self, tenant: str | None = None) -> list[ApiKey]:
        """Return all keys, also revoked ones, or those of a tenant; oldest first."""
        statement = sa.select(api_keys).order_by(api_keys.c.created, api_keys.c.id)
        if tenant is not None:
            statement = statement.where(api_keys.c.tenant == tenant)
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(statement).mappings()]

    def revoke(self, key: str) -> None:
        """End a key, by its id. Raises `InputError` if there is none."""
        now = microseconds(datetime.now(UTC))
        there = api_keys.c.id == key
        with writing(self._engine) as connection:
            if connection.execute(sa.select(api_keys.c.id).where(there)).scalar() is None:
                raise InputError(f"no key {key!r:.40} in the store: expected the id of one of its keys")
            connection.execute(sa.update(api_keys).where(there, api_keys.c.revoked.is_(None)).values(revoked=now))

    def exist(self) -> bool:
        """Whether there ever was a key: then every client needs one, also after the last was revoked."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(api_keys.c.id).limit(1)).scalar() is not None

    def find(self, text: str) -> ApiKey | None:
        """Return the key with this text; None if there is none, or it was revoked."""
        match = _KEY.fullmatch(text)
        one, secret = match.groups() if match else ("", "")
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(api_keys).where(api_keys.c.id == one)).mappings().first()
        # Compared in constant time, also without a row: neither the hash nor which ids exist shows in the time it
        # takes. A secret of 256 random bits can't be guessed from its hash, so that no slow hash is needed.
        same = hmac.compare_digest(_hash(secret), row["hash"] if row else _NEVER)
        return _key(row) if row is not None and same and row["revoked"] is None else None


def end_keys_of(connection: sa.Connection, user: str) -> None:
    """Revoke the keys of an erased user, by the id in the store, and drop the id from them."""
    now = microseconds(datetime.now(UTC))
    revoked = sa.func.coalesce(api_keys.c.revoked, now)
    connection.execute(sa.update(api_keys).where(api_keys.c.user == user).values(user=None, revoked=revoked))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: sa.RowMapping) -> ApiKey:
    tenant, user = row["tenant"], row["user"]
    return ApiKey(
        row["id"],
        tenant,
        row["scope"],
        moment(row["created"]),
        user if user is None or tenant == DEFAULT_TENANT else user.removeprefix(f"{tenant}/"),
        row["rate"],
        row["body_bytes"],
        moment(row["revoked"]),
    )
