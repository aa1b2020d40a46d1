"""``sluice serve`` that waits less long.

``python -m tests.support.hasty_node MODULE:NAME=SECONDS …``.

What is no setting, as no operator needs another value, is a constant of a module. It is replaced
before the node starts, so the product has no hooks. Invariant: a wait gets shorter, or a bound
lower; that the product's own value does what it should is for a test of ``make test-long``.
"""

import importlib
import sys
from collections.abc import Sequence

from sluice.__main__ import main


def hasty(*waits: str) -> tuple[str, ...]:
    """The command of such a node, for ``NodeProcess``."""
    return (sys.executable, "-m", "tests.support.hasty_node", *waits)


def shorten(waits: Sequence[str]) -> None:
    """Replace ``MODULE:NAME`` by ``SECONDS``, each."""
    for wait in waits:
        place, _, seconds = wait.partition("=")
        module, _, name = place.partition(":")
        values = vars(importlib.import_module(module))
        assert float(seconds) < values[name], f"{wait} is no shorter than {values[name]}"
        values[name] = float(seconds)


if __name__ == "__main__":
    shorten(sys.argv[1:])
    sys.argv[1:] = ["serve"]
    main()
