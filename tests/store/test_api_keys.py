"""Keys of clients: made once, stored as a hash, found by their text, ended for good."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penchant import Store
from penchant.errors import InputError
from penchant.store.api_keys import SCOPES


@pytest.fixture
def store(tmp_path: Path, open_store: Callable[[Path], Store]) -> Iterator[Store]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def test_a_key_is_found_by_its_text_alone_and_only_a_hash_is_stored(store: Store) -> None:
    key, text = store.api_keys.create("acme", "write", user="ruth", rate=60, body_bytes=1_000)
    assert store.api_keys.find(text) == key and key in store.api_keys.list("acme")
    for wrong in ("", "pk_", text[:-1], f"{text[:-1]}{'a' if text[-1] != 'a' else 'b'}", text + "a", text.upper()):
        assert store.api_keys.find(wrong) is None
    other, _ = store.api_keys.create("acme", "read")
    assert store.api_keys.find(text.replace(key.id, other.id)) is None
    store.close()
    secret = text.rpartition("_")[2].encode()
    assert not any(secret in file.read_bytes() for file in store.directory.rglob("*") if file.is_file())


def test_a_revoked_key_is_none_and_the_store_never_opens_again(store: Store) -> None:
    assert not store.api_keys.exist()
    key, text = store.api_keys.create("acme", "admin")
    store.api_keys.revoke(key.id)
    store.api_keys.revoke(key.id)
    assert store.api_keys.find(text) is None and store.api_keys.exist()
    assert [one.revoked is not None for one in store.api_keys.list()] == [True]
    with pytest.raises(InputError, match="no key 'nobody'"):
        store.api_keys.revoke("nobody")


def test_each_scope_has_those_before_it(store: Store) -> None:
    for at, scope in enumerate(SCOPES):
        key, _ = store.api_keys.create("acme", scope)
        assert [key.allows(one) for one in SCOPES] == [number <= at for number in range(len(SCOPES))]


def test_no_id_leads_out_of_the_tenant(store: Store) -> None:
    acme, default = (store.api_keys.create(tenant, "read")[0] for tenant in ("acme", "default"))
    assert acme.stored_user("../other/ruth") == "acme/../other/ruth" and default.stored_user("ruth") == "ruth"
    with pytest.raises(InputError, match="without '/'"):
        default.stored_user("acme/ruth")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tenant": "Acme"}, "tenant 'Acme'"),
        ({"tenant": "a/b"}, "tenant 'a/b'"),
        ({"tenant": ""}, "tenant ''"),
        ({"scope": "all"}, "read, write, admin"),
        ({"rate": 0}, "at least 1"),
        ({"body_bytes": -1}, "at least 1"),
        ({"user": ""}, "user id"),
        ({"tenant": "default", "user": "acme/ruth"}, "without '/'"),
    ],
)
def test_what_can_be_no_key_is_refused(store: Store, given: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        store.api_keys.create(**{"tenant": "acme", "scope": "read", **given})
    assert not store.api_keys.exist()


def test_erasing_a_user_ends_the_keys_of_that_user_alone(store: Store) -> None:
    store.add("acme/ruth", ["I play the cello."])
    store.add("other/ruth", ["I play chess."])
    ruths, text = store.api_keys.create("acme", "read", user="ruth")
    others, other_text = store.api_keys.create("other", "read", user="ruth")
    store.forget("acme/ruth")
    assert store.api_keys.find(text) is None and store.api_keys.find(other_text) == others
    gone = next(one for one in store.api_keys.list() if one.id == ruths.id)
    assert gone.user is None and gone.revoked is not None
