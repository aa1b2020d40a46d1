import pytest

from consumer.formats.native import Native, load


@pytest.fixture(scope="session")
def native() -> Native:
    module = load()
    if module is None:
        pytest.skip("the native encoders are not built")
    return module
