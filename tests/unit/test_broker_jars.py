"""Kafka's jars: locked, fetched once from a Maven repository, verified on each use."""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from broker.errors import ServerError
from broker.jars import Distribution, Jar, class_path, locked_kafka, locked_s3proxy

CONTENT = {"org/a/one/1.0/one-1.0.jar": b"one" * 1000, "net/two/2.5/two-2.5.jar": b"two"}
JARS = [Jar(path, hashlib.sha256(content).hexdigest()) for path, content in CONTENT.items()]
PROGRAM = Distribution("one", "The One", tuple(JARS))


class Repository(ThreadingHTTPServer):
    """A Maven repository of the jars above, on a free port; it remembers which paths it served."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requested: list[str] = []
        self.cut_off_next = False
        for path, content in CONTENT.items():
            (root / path).parent.mkdir(parents=True)
            (root / path).write_bytes(content)
        super().__init__(("127.0.0.1", 0), partial(Answer, directory=str(root)))

    @property
    def urls(self) -> dict[str, str]:
        return {"central": f"http://127.0.0.1:{self.server_port}"}

    def requests_of(self, suffix: str) -> int:
        return sum(path.endswith(suffix) for path in self.requested)


class Answer(SimpleHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        if not self.server.cut_off_next:
            return super().do_GET()
        self.server.cut_off_next = False
        self.send_response(200)
        self.send_header("Content-Length", "3000")
        self.end_headers()
        self.wfile.write(b"one")
        return None

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        self.server.requested.append(self.path)


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Repository]:
    with Repository(root) as repository:
        thread = Thread(target=repository.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield repository
        finally:
            repository.shutdown()
            thread.join()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with serving(tmp_path / "repository") as repository:
        yield repository


def files(directory: Path) -> set[str]:
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("program", [locked_kafka(), locked_s3proxy()], ids=lambda it: it.name)
def test_each_locked_jar_is_named_once_by_a_hash_and_a_path_without_a_host(
    program: Distribution,
) -> None:
    assert len({jar.name for jar in program.jars}) == len(program.jars) >= 20
    for jar in program.jars:
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert re.fullmatch(r"([A-Za-z0-9._-]+/)+[A-Za-z0-9._-]+\.jar", jar.path)
        assert jar.name.endswith(f"-{jar.version}.jar")


def test_kafka_is_of_one_version_and_what_logs_fits_its_interface() -> None:
    jars = locked_kafka().jars
    assert locked_kafka().version.startswith("4.2.")
    assert len({jar.version for jar in jars if jar.path.startswith("org/apache/kafka/")}) == 1
    assert len({jar.version for jar in jars if jar.path.startswith("org/slf4j/")}) == 1


def test_the_cache_is_where_xdg_says() -> None:
    assert PROGRAM.cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/sluice/one")
    default = Path.home() / ".cache/sluice/one"
    assert PROGRAM.cache_directory({}) == default
    assert PROGRAM.cache_directory({"XDG_CACHE_HOME": "relative"}) == default


def test_jars_are_fetched_once_and_then_need_no_repository(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    notices: list[str] = []
    with serving(tmp_path / "repository") as repository:
        first = class_path(PROGRAM, cache, notice=notices.append, repositories=repository.urls)
    again = class_path(PROGRAM, cache, notice=notices.append, repositories=repository.urls)
    assert first == again == os.pathsep.join(str(cache / jar.path) for jar in JARS)
    assert {path: (cache / path).read_bytes() for path in CONTENT} == CONTENT
    assert len(notices) == 1
    assert files(cache) == {*CONTENT, "lock"}


def test_a_fetched_jar_that_differs_is_refused_and_not_kept(
    tmp_path: Path, repository: Repository
) -> None:
    (repository.root / JARS[1].path).write_bytes(b"evil")
    cache = tmp_path / "cache"
    with pytest.raises(ServerError, match=r"two-2\.5\.jar is refused: its sha256 is .*, the"):
        class_path(PROGRAM, cache, repositories=repository.urls)
    assert files(cache) == {JARS[0].path, "lock"}


def test_a_cached_jar_that_differs_is_refused_and_left_to_the_user(
    tmp_path: Path, repository: Repository
) -> None:
    class_path(PROGRAM, tmp_path, repositories=repository.urls)
    (tmp_path / JARS[0].path).write_bytes(b"evil")
    with pytest.raises(ServerError, match=rf"{JARS[0].path} is refused.*; remove it"):
        class_path(PROGRAM, tmp_path, repositories=repository.urls)
    assert (tmp_path / JARS[0].path).read_bytes() == b"evil"


def test_what_a_killed_fetch_left_is_not_used(tmp_path: Path, repository: Repository) -> None:
    cut_off = tmp_path / "cache" / "partial" / JARS[0].path
    cut_off.parent.mkdir(parents=True)
    cut_off.write_bytes(CONTENT[JARS[0].path][:10])
    class_path(PROGRAM, tmp_path / "cache", repositories=repository.urls)
    assert files(tmp_path / "cache") == {*CONTENT, "lock"}


def test_a_fetch_that_breaks_off_is_tried_again(tmp_path: Path, repository: Repository) -> None:
    repository.cut_off_next = True
    class_path(PROGRAM, tmp_path, repositories=repository.urls)
    assert [repository.requests_of(jar.path) for jar in JARS] == [2, 1]


def test_a_jar_that_the_repository_lacks_is_named(
    tmp_path: Path, repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    (repository.root / JARS[1].path).unlink()
    with pytest.raises(ServerError, match=r"two-2\.5\.jar can't be fetched: .* does not have it"):
        class_path(PROGRAM, tmp_path / "cache", repositories=repository.urls)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_unreachable_repository_is_reported_in_one_line(tmp_path: Path) -> None:
    with serving(tmp_path / "repository") as gone:
        urls = gone.urls
    with pytest.raises(ServerError, match=r"can't be reached \(ConnectionError\)") as refusal:
        class_path(PROGRAM, tmp_path / "cache", repositories=urls)
    assert "\n" not in str(refusal.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match=r"the cache .*/file/kafka can't be used: "):
        class_path(PROGRAM, tmp_path / "file" / "kafka")


def test_without_the_extra_the_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)  # as if it weren't installed
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(ServerError, match=r"pip install 'sluice\[embedded\]'"):
        class_path(PROGRAM, tmp_path)


def test_two_processes_that_fetch_at_once_share_the_work(
    tmp_path: Path, repository: Repository
) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from broker.jars import Distribution, Jar, class_path;"
        f"class_path({PROGRAM!r}, Path(sys.argv[1]), repositories={repository.urls!r})"
    )
    cache = tmp_path / "cache"
    both = [subprocess.Popen([sys.executable, "-c", program, cache]) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert files(cache) == {*CONTENT, "lock"}
    assert [repository.requests_of(jar.path) for jar in JARS] == [1, 1]


def test_a_removed_jar_is_fetched_again(tmp_path: Path, repository: Repository) -> None:
    class_path(PROGRAM, tmp_path, repositories=repository.urls)
    shutil.rmtree(tmp_path / "net")
    class_path(PROGRAM, tmp_path, repositories=repository.urls)
    assert [repository.requests_of(jar.path) for jar in JARS] == [1, 2]
