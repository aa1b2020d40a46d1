"""Settings from the environment, as a test gives it."""

import pytest

from sluice.errors import UsageError
from sluice.settings import Settings, load_settings


def load(**given: str) -> Settings:
    """As a node loads them."""
    environment = {f"SLUICE_{name}": value for name, value in given.items()}
    return load_settings(environment, serves=True)


def refused(**given: str) -> str:
    with pytest.raises(UsageError) as caught:
        load(**given)
    line = str(caught.value)
    assert "\n" not in line
    return line
