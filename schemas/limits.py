"""Limits on the cost of one message: the contract's "Limits of one message".

Numbers only, shared by both sides. Invariant: our own producers stay within all of them.
"""

from typing import Final

LARGE_BYTES: Final = 1024 * 1024
"""A message of more is *large*; key and headers count. What isn't large is decompressed and parsed
at once, on the event loop too. A large batch of rows waits packed until its turn and is read in
pieces there; a large request is not read at all, but for its beginning."""
MOST_REQUEST_VALUES: Final = 10_000
"""JSON values in a request, which are what parsing costs: a mebibyte of ``[],`` takes 100 ms, one
of so few 30."""
MOST_BATCH_CELLS: Final = 1_000_000
"""Cells of a batch: its rows times the columns, or its JSON values if these are more."""
MOST_BATCH_OUTPUT_BYTES: Final = 16 * 1024 * 1024
"""File bytes that one batch may produce."""
MOST_COLUMNS: Final = 256
MOST_NAME_CHARACTERS: Final = 1_000
"""Characters of a column's key, of its header, and of the title."""
MOST_NULL_CHARACTERS: Final = 64
"""Characters of the text for null in a CSV, which may fill every cell."""
MOST_ELEMENT_NAME_CHARACTERS: Final = 64
"""Characters of options that name XML elements; each row contains one twice."""
MOST_USER_CHARACTERS: Final = 256
"""A user is in the terminal event, which has to fit into a message whatever the request was."""
MOST_FORWARDED_BYTES: Final = 2 * 1024 * 1024
"""Key, value and headers of a message that its dead letter keeps, as these are held until their
transaction is committed."""
MOST_FIELDS: Final = 100
"""Fields of a request, of a column and of options. Each wrong one is named, so their number has a
bound; all that the contract knows are fewer."""

MOST_FOOTER_CHARACTERS: Final = 300
"""Characters of the ``footer`` option: three lines on most pages."""

MOST_TIME_ZONE_CHARACTERS: Final = 64
"""Characters of a time zone's name; the longest has 32."""

MOST_RETENTION_SECONDS: Final = 3_153_600_000
"""How long a file or a manifest may be kept by a number of seconds: a hundred years."""
