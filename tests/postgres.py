"""A PostgreSQL server of the tests' own, from the programs that are installed; one for each worker."""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from penchant.store import Store
from penchant.store import engine as database
from penchant.store.location import DATABASE

USER, PASSWORD = "penchant", "s3cret-of-tests"
_NUMBERS = itertools.count(1)


def programs() -> Path | None:
    """The folder of PostgreSQL's programs. Debian keeps those of the server out of $PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


class Server:
    """A running server. Its default collation isn't that of code points, as on most servers."""

    def __init__(self, bin_folder: Path, folder: Path) -> None:
        self.folder = folder
        self._bin = bin_folder
        self._shared = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # PostgreSQL refuses to run as root; its package brings a user.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        if self._as:
            shutil.chown(folder, "postgres")

    def run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def initialize(self) -> None:
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres"]
        self.run("initdb", "--no-sync", *locale, *auth, "-D", str(self.folder / "data"))
        self.start()
        self.admin(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        fast = "-c fsync=off -c autovacuum=off -c max_connections=200"
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} {fast}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def admin(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser and return its rows."""
        import psycopg

        place = {"host": str(self.folder), "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**place, autocommit=True) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, *, user: str = USER, password: str | None = PASSWORD) -> str:
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str | None = None) -> str:
        """Make a database that the tests' user owns, and return its URL."""
        name = database or f"test_{next(_NUMBERS)}_{secrets.token_hex(3)}"
        self.admin(f"CREATE DATABASE {name} OWNER {USER}")
        return self.url(name)

    def create_schema(self) -> str:
        """Make a schema in one database for all tests, which is faster, and return a URL that leads to it."""
        if not self._shared:
            self._shared = self.create()
        name = f"test_{next(_NUMBERS)}"
        self.admin(f"CREATE SCHEMA {name} AUTHORIZATION {USER}", self._shared.rpartition("/")[2])
        return f"{self._shared}?options=-csearch_path%3D{name}"

    def drop_schema(self, url: str) -> None:
        self.admin(f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE", self._shared.rpartition("/")[2])

    def drop(self, url: str) -> None:
        self.admin(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """For tests marked `postgres`: skipped where no server is installed, failed on CI."""
    found = programs()
    if found is None or (os.getuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}):
        message = "no PostgreSQL server is installed: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="penchant-postgres-"))
    server = Server(found, folder)
    try:
        server.initialize()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "encrypted"]


on_plain_text = pytest.mark.parametrize("places", KINDS[:2], indirect=True)
"""For tests that look for texts in a store before they are erased: in an encrypted one they can't be found."""


class Places:
    """Where stores of one test are: a folder, and with PostgreSQL a schema for each folder."""

    def __init__(self, server: Server | None, encrypted: bool) -> None:
        self.server = server
        self.encrypted = encrypted
        self._urls: dict[Path, str] = {}

    def arguments(self, folder: Path) -> list[str]:
        """The arguments of `Store` for the store in a folder, which may be a new one."""
        if self.server is None:
            if self.encrypted and not (folder / DATABASE).exists():
                with Store(folder) as store:
                    store.encrypt()
            return [str(folder)]
        if folder not in self._urls:
            self._urls[folder] = self.server.create_schema()
        return [self._urls[folder], str(folder)]

    def engine(self, folder: Path) -> sa.Engine:
        """An engine for the store in a folder, without a schema if it is new."""
        place, *files = self.arguments(folder)
        folder.mkdir(exist_ok=True)
        return database.open_engine(place if files else sa.URL.create("sqlite", database=str(folder / DATABASE)))

    def close(self) -> None:
        for url in self._urls.values():
            assert self.server is not None
            self.server.drop_schema(url)


@pytest.fixture(params=KINDS)
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Runs a test on every kind of database."""
    encrypted = request.param == "encrypted"
    found = Places(request.getfixturevalue("postgres") if request.param == "postgresql" else None, encrypted)
    with pytest.MonkeyPatch.context() as environment:
        if encrypted:
            environment.setenv("PENCHANT_MASTER_KEY", "ab" * 32)
            environment.setenv("PENCHANT_KEY_STORE", str(tmp_path_factory.mktemp("keys")))
        yield found
    found.close()


@pytest.fixture
def open_store(places: Places) -> Callable[[Path], Store]:
    """Opens the store in a folder, a new one or one that is there, on every kind of database."""
    return lambda folder: Store(*places.arguments(folder))
