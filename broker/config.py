"""Kafka's configuration: one node that is broker and controller, for one machine. Pure.

Invariant: paths in it are relative to the data directory, so none needs escaping.
"""

import json
from collections.abc import Mapping

from broker.ports import LOOPBACK

LISTENER = "CLIENTS"
# Kafka's own word that it is up, which its system tests wait for too: the broker is unfenced and
# every listener accepts. Unlike an answer on the port, it can't be another broker's.
STARTED = "Kafka Server started"
LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says STARTED
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)
"""Options of Java by which Kafka logs as ``broker.server_log`` reads."""


def server_properties(port: int, controller_port: int, log_directory: str) -> dict[str, str]:
    """The settings of a broker on ``port``; what isn't here is Kafka's default."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"{LISTENER}://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"{LISTENER}://{LOOPBACK}:{port}",
        "listener.security.protocol.map": f"{LISTENER}:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": LISTENER,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_directory,
        "auto.create.topics.enable": "false",
        # One broker to replicate to, and few groups to spread over partitions.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # How much of the commit log is loaded at a time. After a kill -9 a broker is elected
        # coordinator twice, and checks only between chunks whether it still is. With the default of
        # 5 MB a load can outlast both elections; its end is then taken for the second load's, and
        # old commits for the newest (docs/guarantees.md).
        "offsets.load.buffer.size": str(64 * 1024),
        # Notice killed members soon, and don't wait for new ones.
        "group.min.session.timeout.ms": "1000",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker's registration is valid until this has passed, and its successor waits
        # for that: at the default of 9 s a restart takes 12 s.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        # 128 MiB of heap by default, for compacted topics of millions of keys.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    }


def render(properties: Mapping[str, str]) -> str:
    """The text of a Java properties file, in ASCII (java.util.Properties.load)."""
    # JSON's escapes are a subset of that format's.
    return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in properties.items())
