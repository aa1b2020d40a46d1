"""What tests of the native encoders do where these are not built."""

import os
from typing import Final, NoReturn

import pytest

REQUIRED: Final = "SLUICE_TEST_NATIVE"
"""Set to ``yes`` where a build that fails must show: elsewhere all goes on in Python."""


def leave_out() -> NoReturn:
    """Skip the test; fail it where the encoders are required."""
    if os.environ.get(REQUIRED) == "yes":
        pytest.fail(f"{REQUIRED} requires the native encoders, and they can't be used")
    pytest.skip("the native encoders are not built")
