"""What the HTTP server may ask of the node. It changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node is doing now: the answer of ``GET /export/status``.

    ``running`` of its ``capacity`` slots are held. ``open_exports`` are accepted and unfinished,
    ``queued`` of them hold no slot. ``assigned_partitions`` are the numbers of the partitions that
    the group gave this node, ascending: each stands for a pair, requests and records. ``lag`` is
    how many records of theirs are still to be read.
    """

    running: int
    queued: int
    open_exports: int
    assigned_partitions: Sequence[int]
    lag: int
    capacity: int


class NodeView(Protocol):
    """A running node, seen from outside."""

    def status(self) -> NodeStatus:
        """What it is doing; answers at once."""

    async def problems(self) -> list[str]:
        """Why it can't work, one sentence each; empty when it is ready."""
