"""Fixed scripts for the runs that try one moment after the other, and how each of them ends."""

from typing import NamedTuple

from schemas.vocabulary import DeadLetterReason
from tests.model.upstream import RECORDS, REQUESTS, Ask, Cancel, Line, Release, Rows, Rubbish

_UNREADABLE = DeadLetterReason.UNREADABLE


class Script(NamedTuple):
    """What upstream says, and how an undisturbed run ends each export: its reason or its type."""

    lines: list[Line]
    ends: dict[str, str]


def _batch(name: str, *, last: bool = False) -> Rows:
    """``a0``: batch 0 of export a, of two rows, so that a turn may end between them."""
    return Rows(name[0], int(name[1]), ((name,), (f"{name}+",)), last=last)


SCRIPTS = {
    "two exports and an orphan": Script(
        [
            Ask("a"),
            Ask("b"),
            _batch("a0"),
            _batch("b0"),
            _batch("a1"),
            _batch("b1", last=True),
            Rows("nobody", 0, ()),
            _batch("a2", last=True),
        ],
        {"a": "export.completed", "b": "export.completed"},
    ),
    "a cancellation": Script(
        [
            Ask("a"),
            Ask("b"),
            _batch("a0"),
            Cancel("a"),
            _batch("b0"),
            _batch("a1", last=True),
            _batch("b1", last=True),
        ],
        {"a": "export.cancelled", "b": "export.completed"},
    ),
    "poison and an invalid request": Script(
        [
            Ask("a"),
            _batch("a0"),
            Rubbish(RECORDS, _UNREADABLE, "a"),
            _batch("a1", last=True),
            Ask("b", valid=False),
            _batch("b0", last=True),
            Rubbish(REQUESTS, _UNREADABLE),
        ],
        {"a": "invalid_batch", "b": "invalid_request"},
    ),
    "a request that becomes visible late": Script(
        [
            Ask("a"),
            Ask("b", held=True),
            _batch("b0"),
            _batch("a0"),
            Release(commits=True),
            _batch("b1", last=True),
            _batch("a1", last=True),
        ],
        {"a": "export.completed", "b": "export.completed"},
    ),
    "repeats, and an export that stops": Script(
        [
            Ask("a"),
            _batch("a0"),
            Ask("b"),
            Ask("a"),
            _batch("b0", last=True),
            _batch("b0", last=True),
        ],
        {"a": "timed_out", "b": "export.completed"},
    ),
    "a batch before its request": Script(
        [
            Ask("a"),
            _batch("a0"),
            Rows("b", 0, (("early",),)),
            *[Cancel("nobody")] * 6,  # it is found an orphan though requests come on and on
            Ask("b"),
            _batch("b0"),
            *[Cancel("nobody")] * 2,
            _batch("b1", last=True),
            _batch("a1", last=True),
        ],
        {"a": "export.completed", "b": "export.completed"},
    ),
    "messages that kill": Script(
        [
            Ask("a"),
            Ask("b"),
            _batch("a0"),
            _batch("b0"),
            _batch("a1")._replace(kills=True),
            Ask("c", kills=True),
            _batch("b1", last=True),
            _batch("c0", last=True),
            _batch("a2", last=True),
        ],
        {"a": "internal", "b": "export.completed", "c": "internal"},
    ),
    "messages that kill, and an export that is open before them": Script(
        [
            Ask("a"),
            _batch("a0"),
            Rows("nobody", 0, (), kills=True),
            Ask("b"),
            _batch("b0")._replace(kills=True),
            Ask("b", kills=True),
            _batch("b1", last=True),
            _batch("a1", last=True),
        ],
        {"a": "export.completed", "b": "internal"},
    ),
}

ONE_EXPORT: list[Line] = [Ask("a"), _batch("a0"), _batch("a1", last=True)]
AFTER_ITS_MANIFEST: dict[str, list[tuple[str, int]]] = {
    message: [("linked", 1), ("in hand", number), ("in hand", number)]
    for number, message in enumerate(("its request", "its first batch", "its last batch"), 1)
}
"""Deaths that chance hardly brings together: one between the manifest and the file's name, so that
the file has to be made again, then two with the same message in hand."""
