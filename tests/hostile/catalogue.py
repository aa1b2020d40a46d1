"""Every kind of hostile input, in the order in which they are sent."""

from tests.hostile import (
    kinds_access,
    kinds_connections,
    kinds_floods,
    kinds_following,
    kinds_formats,
    kinds_http,
    kinds_records,
    kinds_shape,
    kinds_storage,
    kinds_text,
    kinds_values,
)
from tests.hostile.target import Kind

KINDS: tuple[Kind, ...] = (
    *kinds_text.KINDS,
    *kinds_formats.KINDS,
    *kinds_shape.KINDS,
    *kinds_values.KINDS,
    *kinds_records.KINDS,
    *kinds_http.KINDS,
    *kinds_connections.KINDS,
    *kinds_following.KINDS,
    *kinds_access.KINDS,
    *kinds_floods.KINDS,
    *kinds_storage.KINDS,
)


def chosen(words: list[str], *, short: bool) -> list[Kind]:
    """Kinds whose name holds one of the words, all if there are none; of the short form or all."""
    kinds = [kind for kind in KINDS if kind.short or not short]
    return [kind for kind in kinds if not words or any(word in kind.name for word in words)]
