"""Settings from the environment, as a test gives it."""

import pytest

from sluice.errors import UsageError
from sluice.settings import Settings, load_settings


def load(**given: str) -> Settings:
    return load_settings({f"SLUICE_{name}": value for name, value in given.items()})


def refused(**given: str) -> str:
    with pytest.raises(UsageError) as caught:
        load(**given)
    line = str(caught.value)
    assert "\n" not in line
    return line
