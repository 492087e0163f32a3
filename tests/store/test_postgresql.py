"""PostgreSQL alone: its URLs, its errors, writers at once, and what its server is told."""

import random
import threading

import pytest
from alembic import command
from alembic.config import Config

from penchant.errors import InputError, StoreError
from penchant.history.dialogue import Turn
from penchant.history.records import Record
from penchant.store import Counts, Store, default_store
from penchant.store import engine as database
from penchant.store.erasure import cleaning
from penchant.store.location import files_of, store_options
from penchant.store.postgresql import parse_url, shown
from tests.store.conversation_cases import START

pytestmark = pytest.mark.postgres
SECRET = "pa:ss/wörd"


@pytest.fixture
def url(postgres):
    made = postgres.create()
    yield made
    postgres.drop(made)


@pytest.fixture
def store(url, tmp_path):
    with Store(url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_urls_that_mean_the_same(url, tmp_path, scheme):
    with Store(scheme + url.removeprefix("postgresql"), tmp_path) as store:
        store.add("u", [Record("a", id="1")])
        assert store._engine.driver == "psycopg"


@pytest.mark.parametrize(
    "place",
    [
        "mysql://me:S3CRET@host/db",
        "postgresql+psycopg2://me:S3CRET@host/db",
        "postgresql://me:S3CRET@host",
        "postgresql://me:S3CRET@host:port/db",
        "postgresql://host/db?password=S3CRET&frob=1",
        "postgresql://me:S3CRET@127.0.0.1:1/db?connect_timeout=soon",
        "postgresql://me:S3CRET@127.0.0.1:1/db",
        "nonsense://me:S3CRET@[",
    ],
)
def test_no_error_shows_a_password(tmp_path, place):
    with pytest.raises((InputError, StoreError)) as caught:
        Store(place, tmp_path)
    told = str(caught.value)
    assert "S3CRET" not in told
    assert "\n" not in told
    assert "***" in told
    assert "S3CRET" not in shown(place)


def test_a_server_that_refuses_says_what_to_do(postgres, url, tmp_path):
    refused = {
        f"postgresql://penchant@127.0.0.1:1/{url.rpartition('/')[2]}": "refused.*start the server",
        postgres.url("not_there"): 'database "not_there" does not exist.*`createdb not_there`',
        url.replace("s3cret", "another"): "password authentication failed.*check the user and the password",
        postgres.url("postgres", user="nobody"): "check the user and the password",
        "postgresql://penchant@no.invalid/db": "check the name of the host",
        postgres.url("postgres"): "permission denied for schema public.*own the database",
    }
    for place, why in refused.items():
        with pytest.raises(StoreError, match=why) as caught:
            Store(place, tmp_path)
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_database_of_another_encoding_is_refused(postgres, tmp_path):
    postgres.admin(
        "CREATE DATABASE latin OWNER penchant TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    with pytest.raises(StoreError, match="another encoding than UTF-8"):
        Store(postgres.url("latin"), tmp_path)
    postgres.drop(postgres.url("latin"))


def test_users_are_in_the_order_of_code_points_and_paged_by_an_index(store):
    names = ["a", "B", "Z", "z", "é", "Ä", "ä", "_", "10", "9", "ß", "ss", "🐝", "\uffee"]
    for name in names:
        store.add(name, [Record("x")])
    assert [entry.user for entry in store.all_users(page=3)] == sorted(names)
    with database.reading(store._engine) as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        plan = connection.exec_driver_sql("EXPLAIN SELECT * FROM users WHERE id > 'a' ORDER BY id LIMIT 3").all()
    assert "Index Scan" in str(plan)
    assert "Sort" not in str(plan)


def test_an_id_that_is_too_long_for_an_index_is_named(store):
    name = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9000), k=1_000)))  # 3,000 bytes, no two alike
    with pytest.raises(InputError, match=r"an id can't be stored .*at most 2,600 bytes"):
        store.add(name, [Record("x")])
    assert store.count() == 0


def test_texts_of_full_size(store):
    text = "".join(map(chr, random.Random(2).choices(range(1, 0xD800), k=2_000_000)))
    store.add("u", [Record(text, id="1", reply="\x00\x1a0\x1a\x00" * 3)])
    (record,) = store.history("u")
    assert (record.text, record.reply) == (text, "\x00\x1a0\x1a\x00" * 3)
    assert store.forget("u").searched > 1_000


def test_a_lock_held_too_long_is_named(store, url, tmp_path, monkeypatch):
    store.add("u", [Record("x", id="1")])
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with Store(url, tmp_path) as other, database.writing(store._engine) as connection:
        connection.exec_driver_sql("SELECT 1 FROM users FOR UPDATE")
        with pytest.raises(StoreError, match=r"lock timeout.*another process held it"):
            other.add("u", [Record("y")])
        assert other.count("u") == 1  # readers don't wait
        assert other.add("v", [Record("y")]) == Counts(1)  # writers for others don't either


def test_what_was_undone_for_another_transaction_is_run_again(store):
    store.add("a", [Record("x")])
    store.add("b", [Record("x")])
    both, runs = threading.Barrier(2), []

    def work(first, second):
        def update(connection):
            runs.append(first)
            connection.exec_driver_sql(f"UPDATE users SET revision = revision + 1 WHERE id = '{first}'")
            if runs.count(first) == 1:
                both.wait()
            connection.exec_driver_sql(f"UPDATE users SET revision = revision + 1 WHERE id = '{second}'")

        database.written(store._engine, update)

    before = store.revision("a") + store.revision("b")
    threads = [threading.Thread(target=work, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 3  # the server found the deadlock
    assert store.revision("a") + store.revision("b") == before + 4


def test_adding_and_erasing_at_once(store, url, tmp_path):
    """Writers of several users in opposite orders, and an eraser of one of them: nobody fails, nothing is half."""
    names, failures = [f"u{i}" for i in range(6)], []

    def add(seed):
        order = random.Random(seed)
        try:
            with Store(url, tmp_path) as mine:
                for turn in range(12):
                    order.shuffle(names_here := names[:])
                    mine.add_many((name, Record(f"{seed} {turn}", id=f"{seed}-{turn}")) for name in names_here)
        except Exception as error:  # noqa: BLE001 (shown below)
            failures.append(error)

    def erase():
        with Store(url, tmp_path) as mine:
            for _ in range(15):
                try:
                    mine.forget("u3")
                except InputError:
                    continue  # not there at the moment
                except Exception as error:  # noqa: BLE001 (shown below)
                    failures.append(error)

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(3)] + [threading.Thread(target=erase)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in set(names) - {"u3"}:
        assert store.count(name) == 36
        for seed in range(3):
            ids = [record.id for record in store.history(name) if record.id.startswith(f"{seed}-")]
            assert ids == [f"{seed}-{turn}" for turn in range(12)]


def test_a_reader_sees_one_moment(store):
    store.add("u", [Record("x")])
    with database.reading(store._engine) as connection:
        count = "SELECT count(*) FROM records"
        assert connection.exec_driver_sql(count).scalar() == 1
        store.add("u", [Record("y")])
        assert connection.exec_driver_sql(count).scalar() == 1
    assert store.count("u") == 2


def test_a_server_that_was_restarted(postgres, store):
    store.add("u", [Record("x")])
    postgres.stop()
    with pytest.raises(StoreError, match=r"start the server|try again when it runs"):
        store.count()
    postgres.start()
    assert store.count("u") == 1


def test_an_acknowledged_write_is_on_disk_whatever_the_default(postgres, url, tmp_path):
    postgres.admin(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    with Store(url, tmp_path) as store, database.writing(store._engine) as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_an_older_schema_is_migrated(url, tmp_path):
    engine = database.open_engine(parse_url(url))
    config = Config()
    config.set_main_option("script_location", str(database.Path(database.__file__).parent / "migrations"))
    with database.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        meta = '{"conversation": "c", "turn": 1}'
        connection.exec_driver_sql("INSERT INTO users VALUES (1, 'kim')")
        connection.exec_driver_sql(
            f"INSERT INTO records (\"user\", id, hash, text, meta) VALUES (1, 'r', 'h', 'x', '{meta}')"
        )
        connection.exec_driver_sql("INSERT INTO conversations VALUES (1, 1, 'c', NULL, 0, 2)")
        connection.exec_driver_sql("INSERT INTO turns VALUES (1, 1, 1, 'user', 'x', NULL, true)")
    engine.dispose()
    with Store(url, tmp_path) as store:
        assert store.conversations.turns("kim", "c") == [Turn(1, "user", "x", None, "interrupted")]
        assert store.conversations.forget_turns("kim", "c", [1]) == ("r",)


def test_the_tables_of_another_program_are_left_alone(url, tmp_path):
    engine = database.open_engine(parse_url(url))
    with database.writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE users (name text)")
    engine.dispose()
    with pytest.raises(StoreError, match=r"already exists.*a database of Penchant's own"):
        Store(url, tmp_path)


def test_folders_of_two_databases_are_two(postgres, url, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    other = postgres.create()
    try:
        with Store(url) as one, Store(other) as two:
            assert one.directory != two.directory
            assert one.directory == files_of(parse_url(url.replace("s3cret", "rotated")))
            assert tmp_path in one.directory.parents
    finally:
        postgres.drop(other)


def test_hints_name_the_database_without_its_password(store, url, monkeypatch):
    with pytest.raises(InputError) as caught:
        store.history("nobody")
    assert f"--store '{url.replace('s3cret-of-tests', '***')}'" in str(caught.value)
    monkeypatch.setenv("PENCHANT_STORE", url)
    assert default_store() == url
    assert store_options(store._engine) == {}


def test_no_text_of_a_user_is_in_an_error(store):
    store.conversations.open("u", "c", when=START)
    with pytest.raises(StoreError) as caught, database.writing(store._engine) as connection:
        connection.exec_driver_sql("INSERT INTO turns (conversation, number, role, text) VALUES (1, 0, 'user', 'SAID')")
        connection.exec_driver_sql("INSERT INTO turns (conversation, number, text) VALUES (1, 1, 'SAID')")
    assert "SAID" not in str(caught.value)
    assert "violates not-null" in str(caught.value)


def table_files(postgres, url):
    """The bytes of all table and index files of a database, as the server's superuser finds them on its disk."""
    database_name = url.rpartition("/")[2]
    postgres.admin("CHECKPOINT", database_name)
    paths = postgres.admin(
        "SELECT pg_relation_filepath(oid) FROM pg_class WHERE pg_relation_filenode(oid) IS NOT NULL", database_name
    )
    files = [postgres.folder / "data" / str(path) for (path,) in paths]
    return b"".join(file.read_bytes() for file in files if file.is_file())


def test_what_the_receipt_names_is_there_and_compacting_takes_it_from_the_table_files(postgres, store, url):
    canary = "the zanzibar heron keeps eleven copper kettles under a slate roof"
    for n in range(60):
        store.add("ann", [Record(f"{canary} {n}", id=str(n))])
        store.add("bob", [Record(f"nothing to see in number {n}", id=str(n))])
    assert canary.encode() in table_files(postgres, url)
    receipt = store.forget("ann")
    assert receipt.remains == ("table files", "write-ahead log", "backups and replicas")
    assert (receipt.scanned_rows, receipt.shared) == (61, 0)
    assert postgres.admin("SELECT count(*) FROM pg_stats WHERE histogram_bounds::text LIKE '%zanzibar%'") == [(0,)]
    assert canary.encode() in table_files(postgres, url)  # as the documentation says
    store.compact()
    assert canary.encode() not in table_files(postgres, url)
    log = b"".join(file.read_bytes() for file in (postgres.folder / "data" / "pg_wal").iterdir() if file.is_file())
    assert canary.encode() in log
    assert canary.encode() not in (postgres.folder / "log").read_bytes()
    assert store.count("bob") == 60


def test_statistics_that_quote_an_erased_text_are_found(postgres, store, monkeypatch):
    canary = "the zanzibar heron keeps eleven copper kettles under a slate roof"
    store.add("ann", [Record(f"{canary} {n}", id=str(n)) for n in range(20)])
    store.compact()
    monkeypatch.setattr(cleaning, "compact", lambda engine: None)
    with pytest.raises(StoreError, match="erased texts are still found in the statistics of the database"):
        store.forget("ann")


def test_files_on_another_machine_go_when_it_next_opens_the_store(store, url, tmp_path):
    elsewhere = tmp_path / "another machine"
    with Store(url, elsewhere) as other:
        for user in ("ann", "bob"):
            other.add(user, [Record("x", id="1")])
            other.user_dir("banks", user).mkdir(parents=True)
            (other.user_dir("banks", user) / "vectors").write_bytes(b"x")
        (elsewhere / "banks" / "notes").mkdir()
    store.forget("ann")
    with Store(url, elsewhere) as other:
        assert not other.user_dir("banks", "ann").exists()
        assert (other.user_dir("banks", "bob") / "vectors").exists()
        assert (elsewhere / "banks" / "notes").exists()
