"""The base of the contract's models: no type coercion, no ignored fields."""

from pydantic import BaseModel, ConfigDict

from schemas.limits import MOST_FIELDS


class Strict(BaseModel):
    """The base of every model of the contract."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def require_few_fields(given: object) -> None:
    """Each unknown field is an error of its own, so a million of them would cost a gigabyte.

    Raises:
        ValueError: an object has more fields than any of the contract's.
    """
    if isinstance(given, dict) and len(given) > MOST_FIELDS:
        raise ValueError(f"has {len(given):,} fields, more than {MOST_FIELDS}")
