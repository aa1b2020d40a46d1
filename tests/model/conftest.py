"""Runs by the thousand: without logs, and with metrics that all of them share."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from consumer.metrics import Metrics
from tests.model.world import rows_one_by_one


@pytest.fixture(scope="module", autouse=True)
def _without_logs() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with rows_one_by_one():
        yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def metrics() -> Metrics:
    return Metrics()
