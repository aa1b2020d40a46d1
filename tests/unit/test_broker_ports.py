"""Free ports."""

import socket

import pytest

from broker.errors import PortTakenError
from broker.ports import pick_free_port, require_free


def test_a_picked_port_can_be_listened_on_and_is_then_taken() -> None:
    port = pick_free_port()
    require_free(port)
    taken = pytest.raises(PortTakenError, match=f"port {port} is taken")
    with socket.create_server(("127.0.0.1", port)), taken as refusal:
        require_free(port)
    assert refusal.value.port == port


def test_a_listener_on_every_address_takes_the_port_as_well() -> None:
    with socket.create_server(("", 0)) as other, pytest.raises(PortTakenError):
        require_free(other.getsockname()[1])


def test_no_picked_port_is_one_that_outgoing_connections_use() -> None:
    assert all(pick_free_port() < 32_768 for _ in range(50))
