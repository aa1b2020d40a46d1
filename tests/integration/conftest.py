"""Fixtures of tests that run the commands."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.support.nodes import NodeProcess, settings_for
from tests.support.shell import Shell


@pytest.fixture
def shell(bootstrap_servers: str, topics: Topics, tmp_path: Path) -> Shell:
    """On topics of the test's own."""
    return Shell(settings_for(bootstrap_servers, topics, tmp_path / "exports"), tmp_path)


@pytest.fixture
def no_topics(bootstrap_servers: str, tmp_path: Path) -> Shell:
    """On topics that don't exist."""
    topics = Topics.named(f"none-{time.time_ns()}")
    return Shell(settings_for(bootstrap_servers, topics, tmp_path / "exports"), tmp_path)


@pytest.fixture
async def node(shell: Shell) -> AsyncIterator[NodeProcess]:
    async with NodeProcess(shell.environment, shell.directory / "node.log") as node:
        yield node
