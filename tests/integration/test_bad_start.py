"""What keeps a node from starting: one clear line that names the thing, and nothing half-done."""

import os
import subprocess
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.topics import Topics
from tests.support.nodes import SLUICE, settings_for

pytestmark = pytest.mark.kafka


def serve(environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and what is on stderr, log lines apart."""
    done = subprocess.run(
        [SLUICE, "serve"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def the_line(environment: dict[str, str], code: int = 1) -> str:
    exit_code, errors = serve(environment)
    assert exit_code == code, errors
    (line,) = errors.splitlines()
    assert line.startswith("sluice: ")
    assert "Traceback" not in line
    return line


async def create(bootstrap_servers: str, *topics: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics(list(topics))
    finally:
        await admin.close()


def test_no_broker(tmp_path: Path) -> None:
    line = the_line(settings_for("127.0.0.1:9", Topics.named("x"), tmp_path / "exports"))
    assert "127.0.0.1:9" in line


def test_missing_topics(bootstrap_servers: str, tmp_path: Path) -> None:
    line = the_line(
        settings_for(bootstrap_servers, Topics.named("not-there"), tmp_path / "exports")
    )
    for name in ("not-there.requests", "not-there.dead-letters", "sluice topics create"):
        assert name in line


async def test_unequal_partition_counts(bootstrap_servers: str, tmp_path: Path) -> None:
    names = Topics.named("unequal")
    counts = {names.requests: 2, names.records: 3, names.completions: 1, names.dead_letters: 1}
    await create(bootstrap_servers, *(NewTopic(name, n, 1) for name, n in counts.items()))
    line = the_line(settings_for(bootstrap_servers, names, tmp_path / "exports"))
    assert "unequal.requests has 2 partitions" in line
    assert "unequal.records has 3" in line


async def test_a_compacted_input_topic(bootstrap_servers: str, tmp_path: Path) -> None:
    names = Topics.named("compacted")
    compacted = {"cleanup.policy": "compact"}
    await create(
        bootstrap_servers,
        NewTopic(names.requests, 1, 1),
        NewTopic(names.records, 1, 1, topic_configs=compacted),
        NewTopic(names.completions, 1, 1),
        NewTopic(names.dead_letters, 1, 1),
    )
    line = the_line(settings_for(bootstrap_servers, names, tmp_path / "exports"))
    assert "compacted.records is compacted" in line


async def test_a_storage_that_can_not_be_written(
    bootstrap_servers: str, topics: Topics, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = the_line(settings_for(bootstrap_servers, topics, tmp_path / "file"))
    assert "SLUICE_STORAGE_URL" in line
    assert str(tmp_path / "file") in line


async def test_a_taken_port(bootstrap_servers: str, topics: Topics, tmp_path: Path) -> None:
    port = bootstrap_servers.rpartition(":")[2]
    line = the_line(settings_for(bootstrap_servers, topics, tmp_path / "exports", HTTP_PORT=port))
    assert port in line


def test_wrong_settings_are_named_together(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "SLUICE_HTTP_PORT": "many",
        "SLUICE_BOGUS": "1",
        "SLUICE_STORAGE_URL": "ftp://x",
        "SLUICE_PDF_FONTS": str(tmp_path / "none.ttf"),
    }
    line = the_line(environment, code=2)
    for name in environment.keys() - {"PATH"}:
        assert name in line


async def test_a_font_that_is_none(bootstrap_servers: str, topics: Topics, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    environment = settings_for(
        bootstrap_servers, topics, tmp_path / "exports", PDF_FONTS=tmp_path / "font.ttf"
    )
    line = the_line(environment, code=2)
    assert "SLUICE_PDF_FONTS" in line
    assert "font.ttf" in line
