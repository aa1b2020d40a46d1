"""How many requests a turn may take without exceeding the limit of open exports.

Pure. A request that isn't taken waits in Kafka at no cost; one taken beyond ``MOST_OPEN`` fails as
``too_many_open``. So beyond the limit a node takes only what can't wait: requests that were open
before, and a few at a time while a batch waits for its owner. Invariant: whether a request waits
does not depend on when the node started or what killed it.
"""

from dataclasses import dataclass

MOST_OPEN = 1000
"""Per partition: the offsets of open requests have to fit a commit's metadata."""

# Few, because each may open an export beyond the limit.
_SEARCHED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Admissible:
    """At most ``most`` requests; those at offsets below ``free_below`` don't count."""

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
    """How many requests may be taken now.

    Once ``max_open`` exports are open, all other requests wait. ``open_count`` includes exports
    still to be restored; their requests lie below ``restored_below``, which is None once all are
    restored. ``searching``: a batch waits for its owner, which is not among the requests read so
    far.
    """
    room = max(0, max_open - open_count)
    if searching:
        # One by one where each may exceed the limit: the first may be the owner.
        room = max(room, min(_SEARCHED_AT_ONCE, most_open - open_count), 1)
    return Admissible(room, restored_below or 0)
