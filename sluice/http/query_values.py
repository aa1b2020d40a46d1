"""Query parameters: which ones a request has, and values that several endpoints share.

Pure. Invariant: no endpoint ignores a parameter that it doesn't know; a parser of a value raises
ValueError.
"""

import re
from collections.abc import Callable, Collection

from starlette.datastructures import QueryParams
from starlette.requests import Request

from schemas.errors import FieldError
from sluice.http.problems import wrong_fields

GIVEN_AGAIN = "is given more than once"
_UNKNOWN = "is not a parameter of this request"


def values_of(
    query: QueryParams, known: Collection[str], lists: Collection[str] = ()
) -> tuple[dict[str, str], list[FieldError]]:
    """The values of ``known`` parameters, and an error for each that is unknown or given again.

    Those in ``lists`` may be repeated; their values are left to the caller.
    """
    # In one pass: ``getlist`` would scan the whole query for each of thousands of names.
    texts_by_name: dict[str, list[str]] = {}
    for name, text in query.multi_items():
        texts_by_name.setdefault(name, []).append(text)
    values: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, texts in texts_by_name.items():
        if name in lists:
            continue
        if name not in known:
            errors.append(FieldError(name, _UNKNOWN))
        elif len(texts) > 1:
            errors.append(FieldError(name, GIVEN_AGAIN))
        else:
            values[name] = texts[0]
    return values, errors


def refuse_parameters(request: Request) -> None:
    """For a request that takes none.

    Raises:
        Refusal: 400, naming each parameter.
    """
    if errors := values_of(request.query_params, ())[1]:
        raise wrong_fields(errors)


def one_of(*words: str) -> Callable[[str], str]:
    """A parser for one of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def count_of(most: int) -> Callable[[str], int]:
    """A parser for a number from 1 to ``most``."""

    def read(text: str) -> int:
        if not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= most):
            raise ValueError(f"must be a number from 1 to {most:,}")
        return int(text)

    return read
