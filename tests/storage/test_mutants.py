"""The behaviour suite bites: an object storage that is broken in one thing fails one of its tests.

The suite runs on objects in memory, in its own order, until a test fails.
"""

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from obstore.store import MemoryStore

from tests.storage import test_every_storage, test_object_uploads, test_objects
from tests.storage.mutants import MUTANTS, ON_A_SERVER
from tests.support import object_stores
from tests.support.faulty_bucket import Faulty
from tests.support.storages import memory

pytestmark = pytest.mark.slow

Case = tuple[Callable[..., None], dict[str, Any]]
_NOTICED = (Exception, pytest.fail.Exception)


def cases(module: ModuleType) -> Iterator[Case]:
    """The tests of a module, each with the arguments that it is parametrized by."""
    for name, function in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(function):
            marks = [
                one for one in getattr(function, "pytestmark", ()) if one.name == "parametrize"
            ]
            (names, values), *_ = [mark.args for mark in marks] or [((), [()])]
            for value in values:
                keys = [names] if isinstance(names, str) else names
                yield (
                    function,
                    dict(zip(keys, [value] if isinstance(names, str) else value, strict=True)),
                )


SUITE = [*cases(test_every_storage), *cases(test_objects)]


def run(case: Case, directory: Path) -> None:
    """Run a test of the suite on objects in memory."""
    function, arguments = case
    directory.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        another = memory(directory)
        fixtures: dict[str, Callable[[], object]] = {
            "another": lambda: another,
            "storage": lambda: ready(another()),
            "faulty": lambda: Faulty(MemoryStore()),
            "tmp_path": lambda: directory,
            "monkeypatch": lambda: patch,
        }
        wanted = inspect.signature(function).parameters.keys() - arguments.keys()
        function(**arguments, **{name: fixtures[name]() for name in wanted})


def ready(storage: Any) -> Any:
    storage.check()
    return storage


def test_the_suite_passes_here_without_a_mutant(tmp_path: Path) -> None:
    for number, case in enumerate(SUITE):
        run(case, tmp_path / str(number))


@pytest.mark.parametrize("name", MUTANTS)
def test_the_suite_notices_that(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for patch in MUTANTS[name]:
        monkeypatch.setattr(*patch)
    numbers = itertools.count()
    for case in SUITE:
        try:
            run(case, tmp_path / str(next(numbers)))
        except _NOTICED:
            return
    pytest.fail(f"no test of the suite notices that {name}")


@pytest.mark.parametrize("name", ON_A_SERVER)
def test_a_server_shows_that(
    name: str, bucket: object_stores.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patch in ON_A_SERVER[name]:
        monkeypatch.setattr(*patch)
    with contextlib.suppress(AssertionError):
        test_object_uploads.test_uploads_that_nobody_ended_are_aborted(bucket, tmp_path)
        pytest.fail(f"no test of the suite notices that {name}")
