"""``python -m sluice`` is the command ``sluice``."""

import signal


def main() -> None:
    """Run the command line and exit."""
    # Importing takes most of a second; Ctrl-C during it ends the program, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sluice.cli import main as run  # noqa: PLC0415 - see above

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
