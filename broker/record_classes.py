"""``python -m broker.record_classes``: the class archives of the embedded servers, made once."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from broker.embedded import EmbeddedKafka
from broker.errors import ServerError
from broker.store import EmbeddedStore


def main() -> None:
    """Start and stop each server whose archive is missing; takes some seconds each."""
    with TemporaryDirectory(prefix="sluice-classes-") as directory:
        for kind in (EmbeddedKafka, EmbeddedStore):
            try:
                kind(Path(directory) / kind.__name__, notice=print).record_classes()
            except (ServerError, OSError) as error:
                # It shows again where the server is needed.
                print(f"no class archive: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
