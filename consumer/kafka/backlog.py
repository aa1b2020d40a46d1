"""What the whole group has accepted and not finished, known on every node.

Reads the requests topic beside the group, and looks at what the group has committed; which request
is unfinished is decided in ``core/backlog.py``. Nothing is written. What an open transaction holds
back was not accepted yet. Any doubt begins anew. Invariant: an answer stands on ends and commits
that were fetched after its question.
"""

from collections.abc import Mapping
from typing import Any, Self

from consumer.core.backlog import Unfinished
from consumer.kafka.cluster import Cluster
from schemas.topics import Topics

MOST_FOLLOWED = 100_000
"""Unfinished exports that are held in memory; what is read of more waits for room."""


class BacklogUnavailable(Exception):  # noqa: N818 - it is a state, and may pass
    """The backlog can't be told now; the message says why."""


class RequestsHidden(BacklogUnavailable):
    """The id was not found, but an open transaction holds requests back that may be of this id.

    For an upstream that publishes with transactions, this passes when it commits or aborts.
    """


class Backlog:
    """The group's unfinished exports. Use it as an async context manager; it begins in the back."""

    def __init__(
        self,
        topics: Topics,
        cluster: Cluster,
        client_options: Mapping[str, Any],
        most_followed: int = MOST_FOLLOWED,
    ) -> None:
        self._topics = topics
        self._cluster = cluster
        self._options = client_options
        self._most_followed = most_followed

    async def __aenter__(self) -> Self:
        """Begin to read; returns at once, whether Kafka answers or not."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading."""

    async def count(self, *, fresh: bool = False) -> int:
        """Exports accepted and unfinished in the group; ``most_followed`` stands for more, too.

        At once, as of about a second ago; or ``fresh``: with all that was accepted and committed
        before the call.

        Raises:
            BacklogUnavailable: Kafka doesn't answer, or there is too much to read.
        """
        raise BacklogUnavailable("the backlog is not followed yet")

    async def find(self, export_id: str) -> Unfinished | None:
        """The unfinished export of this id, as of now; None: there is none in the whole group.

        Whoever asks for the manifest after a None finds it, if the export has ended.

        Raises:
            RequestsHidden: it may be in a transaction that is open.
            BacklogUnavailable: as ``count``; or there are more than ``most_followed``.
        """
        raise BacklogUnavailable("the backlog is not followed yet")
