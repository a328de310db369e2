"""Records in SQLite: put in, found again. A damaged file is thrown away and started afresh; it is only an index.

Any thread may ask: one connection, one lock, and no question takes longer than some milliseconds.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from modules.errors import StorageError
from modules.history.record import Record
from modules.history.words import Condition, conditions, phrase

SCHEMA = 2  # another number in the file: it is made anew
PAGE = 60

T = TypeVar("T")

_COLUMNS = [field.name for field in fields(Record) if field.name != "embeddings"]
_TABLES = f"""
CREATE TABLE pictures (id INTEGER PRIMARY KEY, {", ".join(_COLUMNS)}, in_trash, UNIQUE (name));
CREATE INDEX by_time ON pictures (in_trash, modified_ns DESC);
CREATE TABLE embeddings (picture INTEGER, embedding TEXT);
CREATE INDEX by_picture ON embeddings (picture);
CREATE INDEX by_embedding ON embeddings (embedding);
PRAGMA user_version = {SCHEMA};
"""
_WORDS_TABLE = "CREATE VIRTUAL TABLE words USING fts5(prompt)"


@dataclass(frozen=True)
class Query:
    """What is looked for; empty fields ask for nothing.

    Attributes:
        text: words of the prompt, see `words`.
        embedding, model, sampler: exact names.
        since, until: seconds since 1970, the second not included; 0 = open.
        starred: only those with a star.
        grids: overviews too.
        in_trash: what was deleted, instead of what was not.
    """

    text: str = ""
    embedding: str = ""
    model: str = ""
    sampler: str = ""
    since: float = 0.0
    until: float = 0.0
    starred: bool = False
    grids: bool = True
    in_trash: bool = False


@dataclass(frozen=True)
class Page:
    """Some of the pictures found, newest first.

    Attributes:
        total: how many there are on all pages.
    """

    records: tuple[Record, ...]
    total: int


@dataclass(frozen=True)
class Facets:
    """What there is to choose from, each with its number of pictures, the most frequent first; months newest first."""

    models: tuple[tuple[str, int], ...] = ()
    samplers: tuple[tuple[str, int], ...] = ()
    embeddings: tuple[tuple[str, int], ...] = ()
    months: tuple[tuple[str, int], ...] = ()


class Index:
    """The index file.

    Args:
        path: made, or made anew if it is damaged, when it is first used.

    Every method raises:
        StorageError: the file can be neither read nor made.
    """

    def __init__(self, path: Path):
        self.path = path
        self.full_text = False
        self.made = 0  # how often the file was made: each time everything has to be read again
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let the file go; the next question opens it again."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    def known(self) -> dict[str, tuple[int, int]]:
        """Time and size of every file that is in the index, by name."""
        return self._ask(
            lambda db: {name: (time, size) for name, time, size in db.execute(
                "SELECT name, modified_ns, size FROM pictures"
            )}
        )  # fmt: skip

    def copies(self) -> list[str]:
        """Names of the JPG copies."""
        return self._ask(lambda db: [name for (name,) in db.execute("SELECT name FROM pictures WHERE copy = 1")])

    def put(self, records: Iterable[Record]) -> None:
        """Add pictures, or replace what was known of them."""
        rows = list(records)
        self._ask(lambda db: [self._put(db, record) for record in rows])

    def forget(self, names: Iterable[str]) -> None:
        """Take pictures out of the index."""
        gone = list(names)
        self._ask(lambda db: [self._forget(db, name) for name in gone])

    def star(self, name: str, starred: bool) -> None:
        """Set or take the star of a picture."""
        self._ask(lambda db: db.execute("UPDATE pictures SET starred = ? WHERE name = ?", (starred, name)))

    def find(self, name: str) -> Record | None:
        """The picture of that name."""
        found = self._ask(lambda db: self._records(db, "WHERE name = ?", (name,)))
        return found[0] if found else None

    def search(self, query: Query, page: int = 0, per_page: int = PAGE) -> Page:
        """One page, from 0, of what a query finds."""
        where, values = self._where(query)

        def ask(db: sqlite3.Connection) -> Page:
            total = db.execute(f"SELECT count(*) FROM pictures {where}", values).fetchone()[0]
            rest = f"{where} ORDER BY modified_ns DESC, id DESC LIMIT ? OFFSET ?"
            return Page(tuple(self._records(db, rest, (*values, per_page, page * per_page))), total)

        return self._ask(ask)

    def damaged(self, most: int = 100) -> list[Record]:
        """Files that cannot be read."""
        return self._ask(lambda db: self._records(db, "WHERE damage != '' ORDER BY name LIMIT ?", (most,)))

    def facets(self) -> Facets:
        """What there is to choose from."""
        alive = "FROM pictures WHERE in_trash = 0 AND copy = 0 AND"
        month = "strftime('%Y-%m', modified_ns / 1000000000, 'unixepoch', 'localtime')"
        questions = (
            f"SELECT model, count(*) {alive} model != '' GROUP BY 1 ORDER BY 2 DESC, 1",
            f"SELECT sampler, count(*) {alive} sampler != '' GROUP BY 1 ORDER BY 2 DESC, 1",
            "SELECT embedding, count(*) FROM embeddings JOIN pictures ON id = picture WHERE in_trash = 0 AND copy = 0 "
            "GROUP BY 1 ORDER BY 2 DESC, 1",
            f"SELECT {month}, count(*) {alive} damage = '' GROUP BY 1 ORDER BY 1 DESC",
        )
        return self._ask(lambda db: Facets(*(tuple(db.execute(question)) for question in questions)))

    def _where(self, query: Query) -> tuple[str, tuple[object, ...]]:
        found = [Condition("in_trash = ?", (query.in_trash,)), Condition("damage = ''"), Condition("copy = 0")]
        found += conditions(query.text, self._has_full_text())
        for column in ("model", "sampler"):
            if wanted := getattr(query, column):
                found.append(Condition(f"{column} = ?", (wanted,)))
        if query.embedding:  # pictures older than the list of hashes have the name in the prompt alone
            words = phrase(query.embedding, self.full_text)
            listed = "id IN (SELECT picture FROM embeddings WHERE embedding = ?)"
            found.append(Condition(f"({listed} OR {words.sql})", (query.embedding, *words.values)))
        if query.since:
            found.append(Condition("modified_ns >= ?", (int(query.since * 1e9),)))
        if query.until:
            found.append(Condition("modified_ns < ?", (int(query.until * 1e9),)))
        if query.starred:
            found.append(Condition("starred = 1"))
        if not query.grids:
            found.append(Condition("grid = 0"))
        values = tuple(value for condition in found for value in condition.values)
        return f"WHERE {' AND '.join(condition.sql for condition in found)}", values

    def _has_full_text(self) -> bool:
        self._ask(lambda db: None)  # opens the file, which tells
        return self.full_text

    def _records(self, db: sqlite3.Connection, rest: str, values: Sequence[object]) -> list[Record]:
        columns = ", ".join(_COLUMNS)
        rows = db.execute(f"SELECT id, {columns} FROM pictures {rest}", values).fetchall()
        records = []
        for key, *row in rows:
            named = dict(zip(_COLUMNS, row, strict=True))
            named |= {name: bool(named[name]) for name in ("grid", "copy", "starred")}
            embeddings = db.execute("SELECT embedding FROM embeddings WHERE picture = ? ORDER BY rowid", (key,))
            records.append(Record(**named, embeddings=tuple(name for (name,) in embeddings)))
        return records

    def _put(self, db: sqlite3.Connection, record: Record) -> None:
        self._forget(db, record.name)
        columns, places = ", ".join(_COLUMNS), ", ".join("?" * len(_COLUMNS))
        row = [getattr(record, name) for name in _COLUMNS]
        sql = f"INSERT INTO pictures ({columns}, in_trash) VALUES ({places}, ?)"
        key = db.execute(sql, (*row, record.in_trash)).lastrowid
        db.executemany("INSERT INTO embeddings VALUES (?, ?)", [(key, name) for name in record.embeddings])
        if self.full_text:
            db.execute("INSERT INTO words (rowid, prompt) VALUES (?, ?)", (key, record.prompt))

    def _forget(self, db: sqlite3.Connection, name: str) -> None:
        found = db.execute("SELECT id FROM pictures WHERE name = ?", (name,)).fetchone()
        if found is None:
            return
        if self.full_text:
            db.execute("DELETE FROM words WHERE rowid = ?", found)
        db.execute("DELETE FROM embeddings WHERE picture = ?", found)
        db.execute("DELETE FROM pictures WHERE id = ?", found)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask, in one transaction. A file that turns out to be damaged, or gone, is made anew, and asked again."""
        with self._lock:
            if self._connection and not self.path.exists():
                self.close()
            for last in (False, True):
                try:
                    connection = self._connection = self._connection or self._open()
                    with connection:  # commits, or takes everything back
                        return question(connection)
                except sqlite3.OperationalError as error:
                    if last or not _is_gone(error):
                        raise StorageError(f"The history in {self.path.name} cannot be used: {error}.") from error
                    self._remove()
                except sqlite3.DatabaseError:
                    if last:
                        raise
                    self._remove()
            raise AssertionError("the second time returns or raises")

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The history cannot be kept in {self.path.parent}: {error.strerror}.") from error
        connection = sqlite3.connect(self.path, timeout=10.0, check_same_thread=False)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError("of another release")
            with contextlib.suppress(sqlite3.OperationalError):  # some network disks cannot: slower, and as good
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if not version:
                _make_tables(connection)
                self.made += 1
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'words'").fetchone()
            self.full_text = tables is not None
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            try:
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            except OSError as error:
                raise StorageError(f"The damaged {self.path.name} cannot be removed: {error.strerror}.") from error


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
    with contextlib.suppress(sqlite3.OperationalError):  # a SQLite without full-text search
        connection.execute(_WORDS_TABLE)


def _is_gone(error: sqlite3.OperationalError) -> bool:
    """Whether the file was deleted or swapped under an open connection, or holds other tables."""
    text = str(error)
    return any(words in text for words in ("no such table", "no such column", "readonly database", "disk I/O error"))
