"""Free ports on 127.0.0.1.

A picked port can be taken before it is bound: callers retry.
"""

import secrets
import socket

from broker.errors import PortTakenError, ServerError

LOOPBACK = "127.0.0.1"
# Below the ephemeral ports of Linux (32768) and macOS (49152). An ephemeral port can be taken by
# any outgoing connection while the broker restarts; a client that knocks on a closed one can even
# connect to itself and so keep the broker out.
_PICKED_FROM = range(12_000, 32_000)
_MOST_PICKS = 100


def pick_free_port(besides: int = 0) -> int:
    """A free port, other than ``besides``.

    Raises:
        ServerError: none was found.
    """
    for _ in range(_MOST_PICKS):
        port = secrets.choice(_PICKED_FROM)
        if port != besides and _refusal(port) is None:
            return port
    raise ServerError(f"no free port found on {LOOPBACK}")


def require_free(port: int) -> None:
    """Do nothing if ``port`` can be listened on.

    Raises:
        PortTakenError: another program listens on it.
        ServerError: it may not be used.
    """
    refusal = _refusal(port)
    if isinstance(refusal, PermissionError):
        raise ServerError(f"port {port} may not be used: {refusal.strerror}")
    if refusal is not None:
        raise PortTakenError(port)


def _refusal(port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java's server sockets do: closed connections of a broker before don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError as error:
            return error
    return None
