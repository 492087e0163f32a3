"""`penchant keys`: the key on stdout alone, what there is, and an end to it."""

from penchant import Store
from tests.commands import Home, Invoke


def test_a_key_is_made_listed_and_revoked(penchant: Invoke, home: Home) -> None:
    made = penchant("keys", "create", "acme", "--scope", "write", "--user", "ruth", "--rate", 60)
    assert made.code == 0, made
    text = made.out.strip()
    with Store(home.store) as store:
        key = store.api_keys.find(text)
    assert key is not None and (key.tenant, key.scope, key.user, key.rate) == ("acme", "write", "ruth", 60)
    assert f"penchant keys revoke {key.id}" in made.err and text not in made.err
    (listed,) = penchant("keys", "list", "--json").document["keys"]
    assert listed["id"] == key.id and listed["revoked"] is None and "key" not in listed
    assert penchant("keys", "revoke", key.id).code == 0
    table = penchant("keys", "list").out
    assert key.id in table and text not in table
    with Store(home.store) as store:
        assert store.api_keys.find(text) is None


def test_errors_are_one_line(penchant: Invoke, home: Home) -> None:
    assert "tenant 'ACME'" in penchant("keys", "create", "ACME").reason()
    assert "read, write, admin" in penchant("keys", "create", "acme", "--scope", "all").reason()
    assert "penchant" in penchant("keys", "list", "--store", home.store / "none").reason()
    penchant("keys", "create", "acme")
    assert "no key 'abc'" in penchant("keys", "revoke", "abc").reason()
