"""Writes ``kafka.sha256`` anew: ``python -m broker.lock VERSION``, for whoever upgrades Kafka.

Never run by the service. It takes what the Maven repository serves now and trusts it once; look at
the diff before committing it.
"""

import hashlib
import sys
from pathlib import Path

import jgo

# What logs; of the version of Kafka's slf4j-api.
_SLF4J = "org.slf4j:slf4j-simple:1.7.36"


def main(version: str) -> None:
    """Resolve that version of Kafka and write its jars' hashes, in the order of the class path."""
    artifacts = jgo.resolve(f"org.apache.kafka:kafka_2.13:{version}+{_SLF4J}")
    lines = []
    for artifact in artifacts:
        path = artifact.component.path_prefix / artifact.filename
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        lines.append(f"{digest}  {path.as_posix()}\n")
    Path(__file__).with_name("kafka.sha256").write_text("".join(lines), "ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
