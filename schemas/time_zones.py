"""Time zones by their IANA names, from the package ``tzdata``.

Not from the operating system: a file must be the same on every node. Invariant: a name accepted by
``is_time_zone`` can be loaded.
"""

from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

_PACKAGE: Final = "tzdata"


@cache
def _names() -> frozenset[str]:
    return frozenset(files(_PACKAGE).joinpath("zones").read_text("ascii").split())


def is_time_zone(name: str) -> bool:
    """Whether there is a zone of this name, such as ``Europe/Istanbul`` or ``UTC``."""
    return name in _names()


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of a name for which ``is_time_zone``."""
    with files(_PACKAGE).joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
