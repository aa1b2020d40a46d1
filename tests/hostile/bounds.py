"""The bounds of the contract's "Limits of one message", and what of a measurement breaks them.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.hostile.probe import Look

MIB = 1024 * 1024
PEAK_BYTES = 400 * MIB
STALL_SECONDS = 0.25
HEALTH_SECONDS = 1.0
GOOD_SECONDS = 60.0
"""A good export beside an attack has ended by then: not of the contract, but of a sane node."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The worse of the two nodes, over one attack and what it left to do. Times in seconds.

    ``own_health_seconds`` is without what nodes waited for a core, ``health_seconds`` with it;
    ``refused_seconds`` is the longest that a node answered no look with 200.
    """

    before_bytes: int
    peak_bytes: int
    stall_seconds: float | None
    health_seconds: float
    own_health_seconds: float
    health_failures: int
    refused_seconds: float
    csv_seconds: float
    pdf_seconds: float
    seconds: float


def swollen(measured: Measured) -> Iterator[str]:
    """The bound of memory, if it is broken, in words."""
    if measured.peak_bytes > PEAK_BYTES:
        yield f"peak memory {measured.peak_bytes / MIB:,.0f} MiB, at most {PEAK_BYTES // MIB}"


def refused(measured: Measured) -> Iterator[str]:
    """Looks at ``/health`` that got no 200: an orchestrator would end the node for that."""
    if measured.health_failures:
        yield f"/health was refused {measured.health_failures:,} times"


def kept_from(measured: Measured) -> Iterator[str]:
    """As ``refused``, in a crowd: a look may meet no free connection, if the next one does."""
    if measured.refused_seconds > HEALTH_SECONDS:
        seconds = measured.refused_seconds
        yield f"/health was refused for {seconds:.1f} s, at most {HEALTH_SECONDS:g}"


def late(measured: Measured) -> Iterator[str]:
    """Each bound of time that is broken, in words. A busy machine may be why."""
    if measured.stall_seconds is not None and measured.stall_seconds > STALL_SECONDS:
        stall = measured.stall_seconds * 1000
        yield f"the loop stood still for {stall:,.0f} ms, at most {STALL_SECONDS * 1000:.0f}"
    if measured.own_health_seconds > HEALTH_SECONDS:
        yield f"/health took {measured.own_health_seconds:.1f} s, at most {HEALTH_SECONDS:g}"


def refused_seconds(looks: Sequence[Look]) -> float:
    """The longest time from a look that was refused to the end of the next one that wasn't."""
    longest, begun = 0.0, None
    for look in looks:
        if look.status == "200":
            longest = max(longest, look.ended - begun if begun is not None else 0.0)
            begun = None
        elif begun is None:
            begun = look.begun
    return max(longest, looks[-1].ended - begun) if begun is not None else longest


def within(looks: Sequence[Look], begun: float, ended: float) -> list[Look]:
    """The looks that overlap a time."""
    return [look for look in looks if look.ended >= begun and look.begun <= ended]
