"""How many requests a turn may take, so that no more exports are open than may be.

Pure. What a node does not take waits in Kafka and costs nothing; what it takes beyond ``MOST_OPEN``
fails as ``too_many_open``. So it takes beyond its room only what can't wait: the requests that were
open before, and some at a time while a batch waits for its owner. Invariant: whether a request
waits does not depend on when a node was started, or on what it was killed at.
"""

from dataclasses import dataclass

MOST_OPEN = 1000
"""In a partition: the offsets of open requests have to fit the metadata of a commit."""

# Few, as each may open an export beyond the room.
_SEARCHED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Admissible:
    """At most so many messages of the requests topic; those at offsets ``free_below`` are free."""

    most: int
    free_below: int = 0


def admission_limit(
    *,
    max_open: int,
    open_count: int,
    searching: bool,
    restored_below: int | None,
    most_open: int = MOST_OPEN,
) -> Admissible:
    """What may be taken now.

    ``max_open`` exports make all others wait. ``open_count`` counts those to be restored too; their
    requests lie below ``restored_below``, which is None when all are. ``searching``: a batch waits
    for its owner, which was not among the requests so far.
    """
    room = max(0, max_open - open_count)
    if searching:
        # One by one where each may be one too many: the first may be the owner.
        room = max(room, min(_SEARCHED_AT_ONCE, most_open - open_count), 1)
    return Admissible(room, restored_below or 0)
