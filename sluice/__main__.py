"""``python -m sluice`` is the command ``sluice``."""

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line and exit."""
    # Importing takes most of a second; Ctrl-C during it ends the program, without a traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    from sluice.cli import main as run  # noqa: PLC0415 - see above

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # An exception would have to pass through whatever is being imported.
    os._exit(128 + number)


if __name__ == "__main__":
    main()
