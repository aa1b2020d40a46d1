"""What a mutant is made of: other parts of a lane, another table, another routing."""

from collections.abc import Callable
from typing import Any

from consumer.core.lane_machine import LANE, Event, State
from consumer.core.resume import ResumePoint
from consumer.exports.batch_routing import BatchRouting
from consumer.exports.partition import PartitionExports
from consumer.exports.request_routing import RequestRouting
from consumer.exports.routing import Routing
from tests.model.lane import Exports, Lane
from tests.model.world import Design

MUTANTS: dict[str, Design] = {}


def mutant(name: str, **parts: type) -> None:
    MUTANTS[name] = Design(**parts)


def lane_with(**parts: Any) -> type[Lane]:
    """A lane with other parts."""
    return type("Changed", (Lane,), parts)


def lane_by_table(*changes: tuple[State, Event, State]) -> type[Lane]:
    """A lane that goes elsewhere after some events."""
    table = {state: dict(row) for state, row in LANE.items()}
    for state, event, instead in changes:
        table[state][event] = instead
    return lane_with(table=table)


def committing(change: Callable[[PartitionExports, ResumePoint], ResumePoint]) -> type[Lane]:
    class Changed(Exports):
        def resume_point(self) -> ResumePoint:
            return change(self, super().resume_point())

    return lane_with(exports_type=Changed)


def routed_by(*changed: type[Routing | RequestRouting | BatchRouting]) -> type[Lane]:
    """A lane whose routing, of requests or of batches, is another."""

    class Routed(Exports):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            routing = self._routing  # it is made inside, as are its parts
            for part in (routing, routing.requests, routing.batches):
                for kind in changed:
                    if issubclass(kind, type(part)):
                        part.__class__ = kind

    return lane_with(exports_type=Routed)
