"""Any record: `st.from_type(Record)`."""

from datetime import UTC

from hypothesis import strategies as st

from penchant.history.records import Record

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    Record,
    text=WORDS.filter(str.strip),
    id=WORDS.filter(bool),
    reply=st.none() | WORDS,
    label=st.none() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    when=st.none() | st.datetimes(timezones=st.just(UTC)),
    kind=st.none() | WORDS,
    meta=st.dictionaries(WORDS, JSON, max_size=3),
)

st.register_type_strategy(Record, RECORDS)
