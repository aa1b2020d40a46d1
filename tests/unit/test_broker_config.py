"""Kafka's configuration, and the format of its file."""

import re

from hypothesis import given
from hypothesis import strategies as st

from broker.config import render, server_properties


def read_back(text: str) -> dict[str, str]:
    """What java.util.Properties.load reads: the escapes it knows, in the order of its rules."""

    def unescaped(match: re.Match[str]) -> str:
        letter = match[1]
        if letter[0] == "u":
            return chr(int(letter[1:], 16))
        return {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}.get(letter, letter)

    pairs = (line.split("=", 1) for line in text.splitlines())
    raw = {name: re.sub(r"\\(u[0-9a-f]{4}|.)", unescaped, value.lstrip()) for name, value in pairs}
    # Java strings are UTF-16.
    return {
        name: value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        for name, value in raw.items()
    }


def test_the_listeners_are_on_the_loopback_only() -> None:
    properties = server_properties(1234, 5678, "logs")
    assert properties["listeners"] == "CLIENTS://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678"
    assert properties["advertised.listeners"] == "CLIENTS://127.0.0.1:1234"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:5678"


def test_one_broker_is_enough_for_every_internal_topic() -> None:
    replicated = {
        name: value
        for name, value in server_properties(1, 2, "logs").items()
        if name.endswith(("replication.factor", "min.isr"))
    }
    assert len(replicated) == 5
    assert set(replicated.values()) == {"1"}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b")).map(str.lstrip))
def test_a_property_reads_back_as_it_was(value: str) -> None:
    text = render({"listener.name.clients.jaas": value, "b": "2"})
    assert text.isascii()
    assert read_back(text) == {"listener.name.clients.jaas": value, "b": "2"}
