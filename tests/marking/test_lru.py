from penchant.marking.lru import LRU, digest


def test_a_digest_knows_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest("ab", "c")
    assert digest("\udc80") != digest("?")


def test_what_was_used_least_recently_goes_first() -> None:
    kept: LRU[int] = LRU(2)
    kept.put([(b"a", 1), (b"b", 2)])
    assert kept.get(b"a") == 1
    kept.put([(b"c", 3)])
    assert (kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (1, None, 3)
    assert len(kept) == 2
