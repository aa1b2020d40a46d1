"""Column keys of a header row, which a file's author wrote for people.

Invariant: keys are unique and none is empty, and each text is kept beside its key.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

from producer.sources.table import SourceError, SourceTable
from schemas.records import Cell


class Header:
    """The columns of a header row: ``keys``, and ``texts`` as they stand in the file.

    A text is the key of its first column. A further one of the same text is ``text_2`` and so on,
    past what another column is called already; one without a text is ``column_N`` by its place.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self.keys = tuple(_unique_keys(texts))
        self._places = {key: place for place, key in enumerate(self.keys)}

    def __len__(self) -> int:
        return len(self.keys)

    def place(self, key: str) -> int:
        """A column's index, from 0.

        Raises:
            SourceError: there is none of this key.
        """
        if key not in self._places:
            raise SourceError(f"column {key!r} is not in the header")
        return self._places[key]

    def table(
        self, columns: Sequence[str] | None, rows: Iterator[list[Cell]], note: str | None = None
    ) -> SourceTable:
        """The table of rows as wide as the header; ``columns`` chooses some of their cells.

        Raises:
            SourceError: as ``place``.
        """
        if columns is None:
            return SourceTable(self.keys, rows, self.texts, note)
        chosen = [self.place(key) for key in columns]
        texts = tuple(self.texts[place] for place in chosen)
        rows = ([row[place] for place in chosen] for row in rows)
        return SourceTable(tuple(columns), rows, texts, note)


def _unique_keys(texts: Sequence[str]) -> list[str]:
    called_so = {*texts}
    used: set[str] = set()
    seen: Counter[str] = Counter()
    keys = []
    for place, text in enumerate(texts, 1):
        key = base = text or f"column_{place}"
        # The first column with a text gets it as its key, whatever others would get.
        is_taken = key in used or (not text and key in called_so)
        for number in count(seen[base] + 2):
            if not is_taken:
                break
            key = f"{base}_{number}"
            # Continue from here next time: many equal texts would take quadratic time.
            seen[base] = number - 1
            is_taken = key in used or key in called_so
        used.add(key)
        keys.append(key)
    return keys
