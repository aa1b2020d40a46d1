"""The base of the contract's models: no type coercion, no ignored fields."""

from pydantic import BaseModel, BeforeValidator, ConfigDict

from schemas.limits import MOST_FIELDS


class Strict(BaseModel):
    """The base of every model of the contract."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _flat(given: object) -> object:
    return "" if isinstance(given, list | dict) else given


FLAT = BeforeValidator(_flat)
"""For a field whose type is an enumeration: an array or object is wrong, however it is nested.

Its error would hold the repr of what was sent, which fails for 1,000 brackets in each other.
"""


def require_few_fields(given: object) -> None:
    """Each unknown field is an error of its own, so a million of them would cost a gigabyte.

    Raises:
        ValueError: an object has more fields than any of the contract's.
    """
    if isinstance(given, dict) and len(given) > MOST_FIELDS:
        raise ValueError(f"has {len(given):,} fields, more than {MOST_FIELDS}")
