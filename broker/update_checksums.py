"""``python -m broker.update_checksums VERSION``: rewrites ``kafka.sha256`` to upgrade Kafka.

The service never runs it. It trusts what the Maven repository serves now, once: review the diff
before committing it, and run ``make hunt`` on it: 4.3.0 to 4.4.0 lose acknowledged
transactions (docs/adr/0018-which-kafka-and-how-it-loads-commits.md).
"""

import hashlib
import sys
from pathlib import Path

import jgo

from broker.jars import Jar

# The logging backend, in the version of Kafka's slf4j-api.
_SLF4J = "org.slf4j:slf4j-simple:1.7.36"


def resolved_jars(version: str) -> tuple[Jar, ...]:
    """The jars of that version of Kafka as served now, in the order of the class path."""
    jars = []
    for artifact in jgo.resolve(f"org.apache.kafka:kafka_2.13:{version}+{_SLF4J}"):
        path = artifact.component.path_prefix / artifact.filename
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        jars.append(Jar(path.as_posix(), digest))
    return tuple(jars)


def main(version: str) -> None:
    """Write the checksums of that version."""
    lines = "".join(f"{jar.sha256}  {jar.path}\n" for jar in resolved_jars(version))
    Path(__file__).with_name("kafka.sha256").write_text(lines, "ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
