import pytest

from consumer.formats.native import Native, load
from tests.support.native import leave_out


@pytest.fixture(scope="session")
def native() -> Native:
    module = load()
    if module is None:
        leave_out()
    return module
