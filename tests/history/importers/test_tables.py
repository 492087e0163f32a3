"""csv, MovieLens, Goodreads, and the registry."""

import csv
from datetime import UTC, datetime

import pytest

from penchant.errors import InputError
from penchant.history.importers import IMPORTERS, read_format
from penchant.history.importers.reading import parse_time
from penchant.history.records import Record


def rows(name, path, **options):
    return list(read_format(name, path, **options))


def test_csv_with_mapped_columns(tmp_path):
    path = tmp_path / "reviews.csv"
    lines = ['ann;"Fine;\nreally";4.5;2024-05-01;Rome', "bob;Bad\x00;low;1714550400;"]
    path.write_text("\n".join(["\ufeffwho;review;stars;date;city", *lines]), encoding="utf-8")
    options = {"text_column": "review", "label_column": "stars", "when_column": "date", "delimiter": ";"}
    got = rows("csv", path, user_column="who", **options)
    first = Record("Fine;\nreally", label=4.5, when=datetime(2024, 5, 1, tzinfo=UTC), meta={"city": "Rome"})
    second = Record("Bad\x00", label="low", when=datetime(2024, 5, 1, 8, tzinfo=UTC))
    assert got == [("ann", first), ("bob", second)]
    assert rows("csv", path, user_column="who", user="bob", **options) == [("bob", second)]
    owners = [owner for owner, _ in rows("csv", path, user="me", **options)]
    assert owners == ["me", "me"]


def test_csv_takes_columns_of_the_fields_own_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,text,reply,kind,user\n7,hello,there,chat,ann\n")
    assert rows("csv", path) == [("ann", Record("hello", id="7", reply="there", kind="chat"))]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a,b\n1,2\n", {}, r"no column 'text' for the text: its columns are 'a', 'b'; name the right one: text_column"),
        ("text;when\nx;y\n", {}, r"is the delimiter ';'\? Set delimiter=';'"),
        (
            "text,b\n1,2\n",
            {"when_column": "d", "id_column": "e"},
            r"'d' for the when and no column 'e' for the id",
        ),
        ("", {}, "its columns are none"),
        ("text,b\nx,2\ny\n", {}, "line 3: 1 cells under 2 columns"),
        ("text,b\n ,2\n", {}, "line 2: a record has no text"),
        ("text,when\nx,someday\n", {}, "line 2: 'someday' is no time"),
        ('text\n"x\n', {}, "line 2: unexpected end of data"),
        ("text\nx\n", {"delimiter": "::"}, "the delimiter '::' can't be used"),
        ("text,user\nx,\n", {}, "line 2: the user is empty"),
    ],
)
def test_csv_says_what_is_wrong(tmp_path, content, options, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        rows("csv", path, user="u" if "user" not in content else None, **options)


def test_csv_needs_a_user_and_can_skip_empty_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,b\n ,1\nx,2\n\n,3\n")
    with pytest.raises(InputError, match="no column with the user: pass user"):
        rows("csv", path)
    assert [record.text for _, record in rows("csv", path, user="u", skip_empty=True)] == ["x"]


def test_csv_with_a_very_large_cell_and_bad_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "word " * 100_000 + "\n")
    assert len(rows("csv", path, user="u")[0][1].text) == 500_000
    path.write_bytes(b"text\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"t\.csv is not UTF-8"):
        rows("csv", path, user="u")


FLAGS = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
SMALL = "1,Toy Story (1995),Animation|Children's|Comedy\n2,Caf\xe9 (1990),(no genres listed)\n"
MOVIELENS = {
    "100k": {
        "u.item": f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS}\n2|Caf\xe9 (1990)|||x|1{'|0' * 18}\n",
        "u.data": "196\t1\t4\t881250949\n22\t2\t5\t881250950\n196\t2\t1\t881250951\n",
    },
    "1m": {
        "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Caf\xe9 (1990)::(no genres listed)\n",
        "ratings.dat": "196::1::4::881250949\n22::2::5::881250950\n196::2::1::881250951\n",
    },
    "small": {
        "movies.csv": "movieId,title,genres\n" + SMALL,
        "ratings.csv": "userId,movieId,rating,timestamp\n196,1,4.0,881250949\n"
        "22,2,5.0,881250950\n196,2,1.0,881250951\n",
    },
}


@pytest.mark.parametrize("layout", MOVIELENS)
def test_movielens_layouts_give_the_same(tmp_path, layout):
    for name, content in MOVIELENS[layout].items():
        (tmp_path / name).write_text(content, encoding="utf-8" if layout == "small" else "latin-1")
    got = rows("movielens", tmp_path)
    text = "Toy Story (1995). Animation, Children's, Comedy. Rated 4 of 5 stars."
    when = datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC)
    assert got[0] == ("196", Record(text, id="1", label=4.0, when=when, kind="rating", meta={"movie": "1"}))
    assert [(user, record.text) for user, record in got[1:]] == [
        ("22", "Café (1990). Rated 5 of 5 stars."),
        ("196", "Café (1990). Rated 1 of 5 stars."),
    ]
    assert rows("movielens", tmp_path, user="22") == got[1:2]


def test_movielens_bad_folders_and_lines(tmp_path):
    with pytest.raises(InputError, match=r"no MovieLens folder: expected u\.data"):
        rows("movielens", tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,B\n")
    for line, message in (
        ("1,2,3.0,5", "ratings.csv line 2: no movie '2'"),
        ("1,1,many,5", "ratings.csv line 2: could not convert"),
        ("1,1,3.0", "ratings.csv line 2: 3 fields, expected 4"),
    ):
        (tmp_path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{line}\n")
        with pytest.raises(InputError, match=message):
            rows("movielens", tmp_path)


@pytest.mark.data
def test_movielens_small_as_published(shared_data):
    got = rows("movielens", shared_data / "ml-latest-small")
    assert len(got) == 100_836
    assert len({user for user, _ in got}) == 610
    assert len({(user, record.id) for user, record in got}) == 100_836


GOODREADS = [
    {
        "Book Id": "42",
        "Title": "Emma",
        "Author": "Jane Austen",
        "ISBN": '="0141439580"',
        "My Rating": "4",
        "Date Read": "2023/06/01",
        "Date Added": "2023/05/01",
        "Bookshelves": "classics, uk",
        "Exclusive Shelf": "read",
        "My Review": "So <b>good</b>.<br/>1 &lt; 2 &amp; fun",
        "Private Notes": "for Mum",
    },
    {"Book Id": "43", "Title": "Ulysses", "Author": "James Joyce", "My Rating": "0", "Exclusive Shelf": "to-read"},
]


def export(path, *books):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(GOODREADS[0]))
        writer.writeheader()
        writer.writerows(books)


def test_goodreads(tmp_path):
    path = tmp_path / "export.csv"
    export(path, *GOODREADS)
    (_, first), (owner, second) = rows("goodreads", path, user="me")
    assert first == Record(
        "Emma by Jane Austen. Rated 4 of 5 stars.\nSo good.\n1 < 2 & fun",
        id="42",
        label=4.0,
        when=datetime(2023, 6, 1, tzinfo=UTC),
        kind="book",
        meta={"author": "Jane Austen", "shelves": ["classics", "uk"], "notes": "for Mum"},
    )
    assert (owner, second.text, second.label) == ("me", "Ulysses by James Joyce. On the shelf 'to-read'.", None)
    path.write_text("Title,Author\nEmma,Jane\n")
    with pytest.raises(InputError, match="no column 'Book Id', 'My Rating': the columns are 'Title', 'Author'"):
        rows("goodreads", path, user="me")
    export(path, {**GOODREADS[0], "My Rating": "four"})
    with pytest.raises(InputError, match=r"export\.csv line 2: could not convert"):
        rows("goodreads", path, user="me")


def test_times():
    assert parse_time("") is None
    assert parse_time("2016") == datetime(2016, 1, 1, tzinfo=UTC)
    assert parse_time("2023/06/01") == datetime(2023, 6, 1)  # Record takes it as UTC
    assert parse_time("1714550400.5") == datetime(2024, 5, 1, 8, 0, 0, 500_000, tzinfo=UTC)
    with pytest.raises(ValueError, match="is no time"):
        parse_time("1e400")


def test_the_registry(tmp_path):
    with pytest.raises(InputError, match="no format 'word': expected one of jsonl, csv, movielens, lamp"):
        read_format("word", tmp_path)
    with pytest.raises(InputError, match="mbox has no option 'you': its options are me"):
        read_format("mbox", tmp_path, user="u", you="x")
    path = tmp_path / "h.jsonl"
    path.write_text('{"text": "a"}\n')
    assert rows("jsonl", path, user="u") == [("u", Record("a"))]
    for name, importer in IMPORTERS.items():
        with pytest.raises(InputError):
            rows(name, tmp_path / "missing", **({} if importer.several_users else {"user": "u"}))
        if not importer.several_users:
            with pytest.raises(InputError, match="pass user"):
                rows(name, path)
