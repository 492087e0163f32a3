from penchant.marking.lru import Memo, digest


def test_a_digest_knows_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest("ab", "c")
    assert digest("\udc80") != digest("?")


def test_what_was_used_least_recently_goes_first() -> None:
    memo: Memo[int] = Memo(2)
    memo.put([(b"a", 1), (b"b", 2)])
    assert memo.get(b"a") == 1
    memo.put([(b"c", 3)])
    assert (memo.get(b"a"), memo.get(b"b"), memo.get(b"c")) == (1, None, 3)
    assert len(memo) == 2
