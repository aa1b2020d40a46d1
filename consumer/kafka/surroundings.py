"""What the lanes of one member share, and the limits of each. Shapes only."""

from concurrent.futures import Executor
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from consumer.exports.workshop import Workshop
from consumer.kafka.cluster import Cluster
from consumer.kafka.said import SaidEvents
from consumer.kafka.slots import Slots
from consumer.kafka.transactions import Destination


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """A lane's limits: open exports before requests wait, and timeouts in seconds."""

    max_open_exports: int
    idle_timeout_seconds: float
    storage_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the lanes of one member share."""

    consumer: AIOKafkaConsumer
    cluster: Cluster
    said: SaidEvents
    destination: Destination
    workshop: Workshop
    slots: Slots
    threads: Executor
    limits: LaneLimits
