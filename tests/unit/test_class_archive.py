"""The archive of a server's classes: whole or not there, and one for each set of jars."""

from dataclasses import replace
from pathlib import Path

import pytest

from broker.class_archive import archive_options, recorded
from broker.jars import Distribution, Jar

PROGRAM = Distribution("one", "One", (Jar("a/b/1/b-1.jar", "0" * 64),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sluice" / "one"


def record(distribution: Distribution) -> None:
    """As Java does at its end."""
    with recorded(distribution) as options:
        assert options is not None
        Path(options[0].partition("=")[2]).write_bytes(b"classes")


def fail_half_way(options: tuple[str, ...] | None) -> None:
    assert options is not None
    Path(options[0].partition("=")[2]).write_bytes(b"half")
    raise RuntimeError


def test_without_one_a_server_has_no_further_options() -> None:
    assert archive_options(PROGRAM) == ()


def test_it_is_recorded_once_and_used_then(cache: Path) -> None:
    record(PROGRAM)
    (path,) = cache.glob("classes-*.aot")
    assert archive_options(PROGRAM)[0] == f"-XX:AOTCache={path}"
    with recorded(PROGRAM) as options:
        assert options is None


def test_other_jars_have_another() -> None:
    record(PROGRAM)
    assert archive_options(replace(PROGRAM, jars=(Jar("a/b/1/b-1.jar", "1" * 64),))) == ()


def test_a_recording_that_fails_leaves_nothing(cache: Path) -> None:
    with pytest.raises(RuntimeError), recorded(PROGRAM) as options:
        fail_half_way(options)
    assert [path.name for path in cache.iterdir()] == ["lock-classes"]


def test_a_runtime_that_writes_none_breaks_nothing() -> None:
    with recorded(PROGRAM) as options:
        assert options is not None
    assert archive_options(PROGRAM) == ()
