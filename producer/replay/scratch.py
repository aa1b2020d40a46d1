"""A scratch database, for what grows with the number of exports.

Facts of a few hundred bytes an export add up, and a load test may have millions of exports. SQLite
keeps two MiB of them in memory and the rest in a file without a name, which is gone with the
process however that ends. A lookup takes some microseconds, far less than a message costs.
Invariant: nothing in it outlives its ``with`` block.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def scratch_database(*statements: str) -> Iterator[sqlite3.Connection]:
    """An empty database, set up by SQL statements; each statement is its own transaction."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # nobody rolls back
        for statement in statements:
            database.execute(statement)
        yield database
