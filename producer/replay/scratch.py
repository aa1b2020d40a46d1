"""A scratch database, for data that grows with the number of exports.

A load test may have millions of exports, of a few hundred bytes each. SQLite keeps two MiB in
memory and the rest in an unnamed file, which the kernel removes with the process. A lookup takes
some microseconds, far less than a message costs.
Invariant: nothing in it outlives its ``with`` block.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def scratch_database(*statements: str) -> Iterator[sqlite3.Connection]:
    """An empty database, set up by SQL statements; each statement is its own transaction."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # nothing is rolled back
        for statement in statements:
            database.execute(statement)
        yield database
