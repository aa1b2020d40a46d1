"""``python -m broker.update_checksums kafka|s3proxy VERSION``: rewrites ``NAME.sha256``.

The service never runs it. It trusts what the Maven repository serves now, once: review the diff
before committing it. On a new Kafka run ``make hunt``: 4.3.0 to 4.4.0 lose acknowledged
transactions (docs/adr/0018-which-kafka-and-how-it-loads-commits.md). On a new S3Proxy run
``tests/storage/test_store_races.py``: does it let two creators of one object win?
"""

import hashlib
import sys
from collections.abc import Sequence

import jgo

from broker.jars import Jar, lock_file

# The logging backend, in the version of Kafka's slf4j-api.
_SLF4J = "org.slf4j:slf4j-simple:1.7.36"
# Pinned: S3Proxy's dependencies name several versions. With one before this it dies as it starts:
# jackson-databind 3 reads an annotation, JsonSerializeAs, that came with 2.21.
_ANNOTATIONS = "com.fasterxml.jackson.core:jackson-annotations:2.21"
_S3PROXY_SERVES_BY = (
    "org.gaul:s3proxy",
    "args4j:args4j",
    "ch.qos.logback:logback-classic",
    "ch.qos.logback:logback-core",
    "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.woodstox:woodstox-core",
    "com.google.guava:guava",
    "jakarta.servlet:jakarta.servlet-api",
    "org.codehaus.woodstox:stax2-api",
    "org.slf4j:slf4j-api",
    "software.amazon.awssdk:aws-core",
    "software.amazon.awssdk:checksums",
    "software.amazon.awssdk:checksums-spi",
    "software.amazon.awssdk:http-client-spi",
    "software.amazon.awssdk:s3",
    "software.amazon.awssdk:sdk-core",
    "software.amazon.awssdk:utils",
    "tools.jackson.core:jackson-core",
    "tools.jackson.core:jackson-databind",
    "tools.jackson.dataformat:jackson-dataformat-xml",
)
"""The jars that it loads classes of (``-verbose:class``) under every request that a client of
objects sends, valid or not. The other 129 are clients of other clouds."""


def resolved_kafka(version: str) -> tuple[Jar, ...]:
    """The jars of that version of Kafka as served now, in the order of the class path."""
    return _resolved(f"org.apache.kafka:kafka_2.13:{version}+{_SLF4J}")


def resolved_s3proxy(version: str) -> tuple[Jar, ...]:
    """The jars of that version of S3Proxy that serve files, as served now."""
    return _resolved(f"org.gaul:s3proxy:{version}+{_ANNOTATIONS}", _S3PROXY_SERVES_BY)


def _resolved(endpoint: str, only: Sequence[str] = ()) -> tuple[Jar, ...]:
    jars = []
    for artifact in jgo.resolve(endpoint):
        component = artifact.component
        if only and f"{component.groupId}:{component.artifactId}" not in only:
            continue
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        jars.append(Jar((component.path_prefix / artifact.filename).as_posix(), digest))
    return tuple(jars)


def main(name: str, version: str) -> None:
    """Write the checksums of that version."""
    resolved = {"kafka": resolved_kafka, "s3proxy": resolved_s3proxy}[name]
    lines = "".join(f"{jar.sha256}  {jar.path}\n" for jar in resolved(version))
    lock_file(name).write_text(lines, "ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
