"""Which failed tests CI runs once more."""

import pytest

from tests.again import refusal


def test_a_few_that_waited_in_vain_run_again() -> None:
    assert (
        refusal(["tests/integration/test_a.py::test_b[1]", "tests/unit/test_c.py::test_d"]) is None
    )


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        ([], "no test failed"),
        ([f"tests/unit/test_a.py::test_{n}" for n in range(6)], "6 tests failed, more than 5"),
        (["tests/unit/test_a.py::test_b", "tests/chaos/test_c.py::test_d"], "tests/chaos/test_c"),
        (["tests/model/test_moments.py::test_a"], "no second try"),
        (["tests/storage/test_store_races.py::test_a"], "no second try"),
        (["gw2", "gw1"], "the run broke off"),
    ],
)
def test_what_guards_exactness_or_failed_in_a_crowd_does_not(failed: list[str], words: str) -> None:
    assert words in (refusal(failed) or "")
