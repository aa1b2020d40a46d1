"""JSON values as YAML that people can read. Writes only, so no YAML library is needed.

Invariant: what isn't plainly a word or a sentence is quoted as in JSON, which YAML 1.2 reads alike.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z$]([A-Za-z0-9 _./,;()-]*[A-Za-z0-9_.)])?")
# What some reader of YAML 1.1 or 1.2 takes for something else than a string.
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def as_yaml(value: dict[str, Any]) -> str:
    """A mapping of JSON values as a YAML document."""
    return "\n".join(_mapping(value, "")) + "\n"


def _mapping(value: dict[str, Any], indent: str) -> Iterator[str]:
    for key, each in value.items():
        yield from _entry(f"{indent}{_scalar(key)}:", each, indent + "  ")


def _sequence(value: list[Any], indent: str) -> Iterator[str]:
    for each in value:
        if isinstance(each, dict) and each:
            first, *rest = _mapping(each, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", each, indent + "  ")


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict | list) and value:
        yield head
        yield from _mapping(value, indent) if isinstance(value, dict) else _sequence(value, indent)
    elif isinstance(value, str) and "\n" in value:
        yield f"{head} |-"
        yield from ((indent + line).rstrip() for line in value.splitlines())
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False)
