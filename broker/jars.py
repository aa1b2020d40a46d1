"""Java programs as jars: locked by hash, fetched once, kept in the user's cache.

``kafka.sha256`` and ``s3proxy.sha256`` name each jar by its path in a Maven repository, which is
its path in the cache as well; `sha256sum -c` understands them. Nothing is resolved at run time, so
no other version than the locked one can slip in. ``python -m broker.update_checksums`` rewrites
them.

Invariant: a jar is in the cache whole or not at all, and is used only if its hash is the locked
one, which is checked on each start (46 jars in 30 ms).
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from broker.errors import ServerError, needs_extra
from broker.file_lock import lock

_MOST_TRIES = 2
_NOTICE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar by its path in a Maven repository (group…/artifact/version/file) and its hash."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.path).name

    @property
    def version(self) -> str:
        """The artifact's version."""
        return PurePosixPath(self.path).parts[-2]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A program: its name in file names, its title in messages, its jars in class path order.

    The first jar is the program's own and bears its version.
    """

    name: str
    title: str
    jars: tuple[Jar, ...]

    @property
    def version(self) -> str:
        """The program's version."""
        return self.jars[0].version

    def cache_directory(self, environment: Mapping[str, str] = os.environ) -> Path:
        """Where the user's jars are cached: ``sluice/NAME`` under $XDG_CACHE_HOME or ``~/.cache``.

        Raises:
            ServerError: the user has no home directory.
        """
        base = Path(environment.get("XDG_CACHE_HOME", ""))
        try:
            # A relative path there is invalid and to be ignored (XDG Base Directory Specification).
            return (base if base.is_absolute() else Path.home() / ".cache") / "sluice" / self.name
        except RuntimeError:
            raise ServerError(
                f"there is no home directory to cache {self.title} in: set XDG_CACHE_HOME"
            ) from None


def locked_kafka() -> Distribution:
    """The locked Apache Kafka."""
    return Distribution("kafka", "Apache Kafka", _locked("kafka"))


def locked_s3proxy() -> Distribution:
    """The locked S3Proxy."""
    return Distribution("s3proxy", "S3Proxy", _locked("s3proxy"))


def lock_file(name: str) -> Path:
    """Where the hashes of the program ``name`` are committed."""
    return Path(__file__).with_name(f"{name}.sha256")


def _locked(name: str) -> tuple[Jar, ...]:
    lines = (line.split() for line in lock_file(name).read_text("ascii").splitlines())
    return tuple(Jar(path, sha256) for sha256, path in lines)


def class_path(
    distribution: Distribution,
    cache: Path,
    *,
    notice: Callable[[str], None] | None = None,
    repositories: dict[str, str] | None = None,
) -> str:
    """The class path for Java, once every jar is there and verified.

    Args:
        distribution: what has to be there.
        cache: where it is kept.
        notice: called with one line when jars have to be fetched, and with one every second or so
            while they come.
        repositories: Maven repositories, name to URL; jgo's default where not given.

    Raises:
        ServerError: a jar can't be fetched or differs from its hash, the cache can't be written.
    """
    try:
        if _missing(distribution.jars, cache):
            _fetch_missing(distribution, cache, notice, repositories)
        for jar in distribution.jars:
            _verify(jar, cache / jar.path, "; remove it to have it fetched again")
    except OSError as error:
        raise ServerError(f"the cache {cache} can't be used: {error}") from None
    return os.pathsep.join(str(cache / jar.path) for jar in distribution.jars)


def _missing(jars: Iterable[Jar], cache: Path) -> list[Jar]:
    return [jar for jar in jars if not (cache / jar.path).exists()]


def _fetch_missing(
    distribution: Distribution,
    cache: Path,
    notice: Callable[[str], None] | None,
    repositories: dict[str, str] | None,
) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = lock(cache / "lock")  # a second process waits here and finds all done
    partial = cache / "partial"  # only the lock's owner writes there; a killed one left it
    try:
        missing = _missing(distribution.jars, cache)
        if missing and notice:
            notice(f"fetching {distribution.title}, {len(missing)} jars, once, into {cache}")
        shutil.rmtree(partial, ignore_errors=True)
        noticed = time.monotonic()
        for number, jar in enumerate(missing, 1):
            if notice and time.monotonic() - noticed > _NOTICE_SECONDS:
                notice(f"  {number} of {len(missing)}: {jar.name}")
                noticed = time.monotonic()
            fetched = _fetch(jar, distribution.title, partial, repositories)
            _verify(jar, fetched)
            (cache / jar.path).parent.mkdir(parents=True, exist_ok=True)
            fetched.replace(cache / jar.path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(descriptor)


def _fetch(jar: Jar, title: str, into: Path, repositories: dict[str, str] | None) -> Path:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - an extra, and slow to import
        from requests import RequestException  # noqa: PLC0415 - comes with jgo
    except ImportError as error:
        raise needs_extra(error) from None
    logging.getLogger("jgo").setLevel(logging.CRITICAL)  # it logs what is raised here as well
    *group, artifact, version, _ = PurePosixPath(jar.path).parts
    maven = MavenContext(repo_cache=into, remote_repos=repositories)
    component = maven.project(".".join(group), artifact).at_version(version)
    reason = ""
    for _ in range(_MOST_TRIES):
        try:
            return Path(component.artifact().resolve())
        except RequestException as error:
            reason = f"the Maven repository can't be reached ({type(error).__name__})"
        except RuntimeError:
            reason = "the Maven repository does not have it"
        shutil.rmtree(into, ignore_errors=True)  # a truncated file would count as fetched
    raise ServerError(
        f"{title} is not in {into.parent} yet and {jar.name} can't be fetched: {reason}"
    )


def _verify(jar: Jar, path: Path, advice: str = "") -> None:
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != jar.sha256:
        raise ServerError(
            f"{path} is refused: its sha256 is {found}, the locked one is {jar.sha256}{advice}"
        )
