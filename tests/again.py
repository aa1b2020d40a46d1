"""Run the tests that failed last once more, alone: ``python -m tests.again``.

A machine that CI shares with others is late at times, and a wait of a test runs out. Invariant:
what guards exactness gets no second try, and a run in which much failed gets none at all; there
a failure is a defect until a person has looked.
"""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

_LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_MOST = 5
_NO_SECOND_TRY = tuple(f"tests/{name}/" for name in ("chaos", "model", "properties", "storage"))


def refusal(failed: Collection[str]) -> str | None:
    """Why these tests, by their pytest ids, are not to run again; None if they are."""
    if not failed:
        return "no test failed, but the run did"
    if len(failed) > _MOST:
        return f"{len(failed)} tests failed, more than {_MOST}"
    if strange := [name for name in failed if not name.startswith("tests/")]:
        return f"the run broke off, not a test of it: {strange[0]}"
    if exact := [name for name in failed if name.startswith(_NO_SECOND_TRY)]:
        return f"{exact[0]} gets no second try"
    return None


def main() -> int:
    """0 if all of them pass now."""
    failed = list(json.loads(_LAST_FAILED.read_bytes())) if _LAST_FAILED.exists() else []
    if reason := refusal(failed):
        print(f"not run again: {reason}", file=sys.stderr)
        return 1
    print("once more, alone:", *failed, sep="\n  ", flush=True)
    return subprocess.call([sys.executable, "-m", "pytest", *failed])


if __name__ == "__main__":
    sys.exit(main())
