"""The Kafka that tests run on.

The cluster of SLUICE_TEST_BOOTSTRAP_SERVERS if set; else a container of the official image where a
Docker engine answers; else the embedded broker.
"""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from broker.config import STARTED, server_properties
from broker.embedded import EmbeddedKafka
from broker.jars import locked_kafka
from broker.ports import pick_free_port

SERVERS = "SLUICE_TEST_BOOTSTRAP_SERVERS"
_PING_TIMEOUT_SECONDS = 3


@contextmanager
def kafka_for_tests(directory: Path) -> Iterator[str]:
    """``host:port`` of a Kafka; an embedded one keeps its data in ``directory``."""
    if given := os.environ.get(SERVERS):
        yield given
    elif docker_answers():
        with _kafka_in_a_container() as servers:
            yield servers
    else:
        with EmbeddedKafka(directory) as kafka:
            yield kafka.bootstrap_servers


def docker_answers() -> bool:
    """Whether a Docker engine answers a ping; a docker command alone proves nothing."""
    with warnings.catch_warnings():
        # Without an engine docker's client leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=_PING_TIMEOUT_SECONDS)
            answers = bool(client.ping())
            client.close()
        except DockerException:
            answers = False
        gc.collect()
    return answers


@contextmanager
def _kafka_in_a_container() -> Iterator[str]:
    # testcontainers' own KafkaContainer knows Confluent's image only.
    container = DockerContainer(f"apache/kafka:{locked_kafka().version}")
    port = pick_free_port()
    servers = f"{container.get_docker_client().host()}:{port}"
    properties = server_properties(port, 9093, "/tmp/kafka-logs") | {  # noqa: S108 - its own /tmp
        "listeners": f"CLIENTS://:{port},INTERNAL://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"CLIENTS://{servers},INTERNAL://127.0.0.1:9094",
        "inter.broker.listener.name": "INTERNAL",
        "listener.security.protocol.map": ",".join(
            f"{name}:PLAINTEXT" for name in ("CLIENTS", "INTERNAL", "CONTROLLER")
        ),
    }
    for name, value in properties.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    container.with_bind_ports(port, port)
    container.waiting_for(LogMessageWaitStrategy(STARTED))
    with container:
        yield servers
