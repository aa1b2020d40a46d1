"""Whether Kafka answers, in a node's own words."""

from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, ProducerFenced
from structlog.testing import capture_logs

from clients.contact import REMINDER_SECONDS, Contact
from consumer.errors import StorageUnavailable
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> Contact:
    return Contact("kafka-1:9092,kafka-2:9092", clock)


def events_of(logs: list[Any]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logs]


def test_one_warning_reminders_and_one_line_that_it_is_back(contact: Contact, clock: Clock) -> None:
    with capture_logs() as logs:
        contact.note(True, 0.01)
        for _ in range(40):  # 80 s
            clock.seconds += 2
            contact.note(False, 0.01)
        assert contact.away
        clock.seconds += 2
        contact.note(True, 0.01)
        clock.seconds += 2
        contact.note(True, 0.01)
    assert events_of(logs) == [
        ("warning", "Kafka does not answer"),
        ("warning", "Kafka still does not answer"),
        ("warning", "Kafka still does not answer"),
        ("info", "Kafka answers again"),
    ]
    assert {line["servers"] for line in logs} == {"kafka-1:9092,kafka-2:9092"}
    assert [line["away_seconds"] for line in logs] == [2, 32, 62, 82]
    assert logs[1]["since"] == logs[0]["since"]
    assert REMINDER_SECONDS == 30
    assert not contact.away


def test_errors_that_kafka_is_away_stand_for_nothing_else(contact: Contact) -> None:
    for error in (KafkaConnectionError("x"), NodeNotReadyError("y"), TimeoutError()):
        assert contact.explains(error)
    for other in (ProducerFenced(), StorageUnavailable("full"), OSError(28, "No space")):
        assert not contact.explains(other)


def test_what_failed_while_kafka_answers_is_logged(contact: Contact, clock: Clock) -> None:
    with capture_logs() as logs:
        for number in range(20):
            contact.explains(KafkaConnectionError(f"{number % 9}"))
        clock.seconds += 1
        contact.note(True, 1.5)  # of a call before: it says nothing of that
        clock.seconds += 2
        contact.note(True, 0.1)
        clock.seconds += 2
        contact.note(True, 0.1)
    (line,) = logs
    assert line["event"] == "calls to Kafka failed, and are retried: Kafka answers"
    assert (line["times"], len(line["errors"])) == (20, 5)


def test_what_failed_while_kafka_is_away_is_not(contact: Contact, clock: Clock) -> None:
    with capture_logs() as logs:
        contact.explains(TimeoutError())
        clock.seconds += 2
        contact.note(False, 5.0)
        contact.explains(TimeoutError())
        clock.seconds += 2
        contact.note(True, 0.1)
        clock.seconds += 2
        contact.note(True, 0.1)
    assert events_of(logs) == [
        ("warning", "Kafka does not answer"),
        ("info", "Kafka answers again"),
    ]
