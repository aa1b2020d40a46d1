"""Column widths and type size: space goes to the columns that need it.

In this order: numbers and dates are whole, at a smaller type if need be; all that is not very long
is whole, down to a type that can be read; then the widest columns of text are cut to one level.
Pure arithmetic in points. Invariant: no column leaves the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from consumer.formats.pdf.fonts import UNITS_PER_EM

LEAST_TYPE = 4.0
"""Numbers and dates are set smaller, down to this, before they are not shown."""
_READABLE_TYPE, _READABLE_WRAPPED_TYPE = 5.5, 7.0
"""Text is set smaller, down to these, before it is cut or wrapped."""
_LEAST_HEADER = 5.0
_PADDING_EMS = 0.5
_SLACK_EMS = 0.1  # for what rounding takes away
_LONGEST_WHOLE = 24 * UNITS_PER_EM  # longer texts are no reason to shrink the type of all
_FEW_LETTERS = int(2.5 * UNITS_PER_EM)
_MOST_PADDING = 0.12  # of a column, where there are very many
_STEPS_PER_POINT = 20


class Need(NamedTuple):
    """What a column holds: the widest cell that must be whole, the widest text, and its header.

    All in units, the header's width as it would be wrapped. ``requested`` is a width in points.
    """

    requested: float | None
    header: int
    whole: int = 0
    text: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: ``edges`` has one more, ``padding`` stands at both sides of each.

    ``complete``: no text has less room than it was found to need, unless it is very long.
    """

    edges: tuple[float, ...]
    padding: float
    type_size: float
    header_size: float
    complete: bool

    def room(self, index: int, size: float) -> int:
        """The width for text of a size, in units."""
        width = self.edges[index + 1] - self.edges[index] - 2 * self.padding
        return max(0, int(width / size * UNITS_PER_EM))


def readable_type(*, wraps: bool) -> float:
    """How small text may be before it is cut or wrapped."""
    return _READABLE_WRAPPED_TYPE if wraps else _READABLE_TYPE


def columns(
    left: float, total: float, needs: Sequence[Need], largest: float, readable: float
) -> Columns:
    """Share out a width that begins at ``left``; the type is at most ``largest``.

    Requested widths hold as far as the page is wide enough, and no number needs more. Between
    ``readable`` and ``largest`` the type is as large as texts have room.
    """
    granted = _grant(total, [need.requested for need in needs])
    placed = [*zip(needs, granted, strict=True)]

    def wanted(size: float) -> float:
        return sum(_wanted(need, width, size) for need, width in placed)

    def least(size: float) -> float:
        return sum(_least(need, width, size) for need, width in placed)

    lowest = min(LEAST_TYPE, largest)
    # For texts first, down to type that can be read; then for numbers alone, further down.
    size = _largest(lambda size: wanted(size) <= total, min(readable, largest), largest)
    size = _largest(lambda size: least(size) <= total, lowest, size)
    bounds = (
        [_least(need, width, size) for need, width in placed],
        [_wanted(need, width, size) for need, width in placed],
        [_all(need, width, size) for need, width in placed],
    )
    widths = _shared(bounds, total, [width is None for width in granted])
    return Columns(
        edges=tuple(round(edge, 2) for edge in accumulate(widths, initial=left)),
        padding=min(_PADDING_EMS * size, _MOST_PADDING * total / len(needs)),
        type_size=size,
        header_size=_header_size(size),
        complete=wanted(size) <= total,
    )


def _grant(total: float, requested: Sequence[float | None]) -> list[float | None]:
    """Scale the requested widths down so that other columns have some room."""
    widths = [width for width in requested if width is not None]
    others = len(requested) - len(widths)
    # 24 points for a column without a width, or its even share of a narrow page.
    reserved = others * min(24.0, total / len(requested))
    scale = min(1.0, (total - reserved) / sum(widths)) if widths else 1.0
    return [None if width is None else width * scale for width in requested]


def _header_size(size: float) -> float:
    return max(size, _LEAST_HEADER) if size < LEAST_TYPE else size


def _width(units: int, size: float) -> float:
    """What a column must have for a text of so many units."""
    return (units / UNITS_PER_EM + 2 * _PADDING_EMS + _SLACK_EMS) * size if units else 0.0


def _least(need: Need, granted: float | None, size: float) -> float:
    """Without it a number isn't whole, or nothing of a text can be read."""
    few = _width(min(max(need.text, need.header), _FEW_LETTERS), size)
    return max(_width(need.whole, size), few if granted is None else min(few, granted))


def _wanted(need: Need, granted: float | None, size: float) -> float:
    """With it nothing is cut that isn't very long."""
    if granted is not None:
        return max(granted, _width(need.whole, size))
    cells = _width(max(need.whole, min(need.text, _LONGEST_WHOLE)), size)
    return max(cells, _width(need.header, _header_size(size)))


def _all(need: Need, granted: float | None, size: float) -> float:
    wanted = _wanted(need, granted, size)
    return wanted if granted is not None else max(wanted, _width(need.text, size))


def _largest(fits: Callable[[float], bool], low: float, high: float) -> float:
    """The largest size on a grid that fits; ``low`` if none does."""
    if fits(high):
        return high
    first, last = 0, int((high - low) * _STEPS_PER_POINT)
    while first < last:
        middle = (first + last + 1) // 2
        if fits(low + middle / _STEPS_PER_POINT):
            first = middle
        else:
            last = middle - 1
    return low + first / _STEPS_PER_POINT


def _shared(
    bounds: tuple[Sequence[float], ...], total: float, stretches: Sequence[bool]
) -> Sequence[float]:
    """Widths between the two bounds that ``total`` lies between; the last ones may be stretched."""
    low: Sequence[float] = [0.0] * len(stretches)
    for high in bounds:
        if sum(high) > total:
            return levelled(low, high, total)
        low = high
    stretched = sum(width for width, stretch in zip(low, stretches, strict=True) if stretch)
    factor = 1 + (total - sum(low)) / stretched if stretched else 1.0
    return [
        width * factor if stretch else width for width, stretch in zip(low, stretches, strict=True)
    ]


def levelled(low: Sequence[float], high: Sequence[float], total: float) -> list[float]:
    """Give each between ``low`` and ``high``, and all that lie between them the same."""
    # As the level rises, a width begins to rise with it at its lower bound and ends at its upper.
    bends = sorted([*((bound, 1) for bound in low), *((bound, -1) for bound in high)])
    given, level, rising = sum(low), 0.0, 0
    for bound, change in bends:
        more = rising * (bound - level)
        if given + more >= total:
            break
        given, level, rising = given + more, bound, rising + change
    if rising:
        level += (total - given) / rising
    return [min(max(level, least), most) for least, most in zip(low, high, strict=True)]
