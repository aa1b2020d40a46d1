"""What a server's log is read for. The samples are Kafka's and S3Proxy's own, shortened."""

import pytest

from broker.server_log import last_error, taken_port

TAKEN_PORT = """\
2026-11-21T08:16:02.410Z WARN org.apache.kafka.controller.QuorumController - [QuorumController id=1] Performing controller activation.
2026-11-21T08:16:03.368Z ERROR kafka.network.DataPlaneAcceptor - Unable to start acceptor for CLIENTS
org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:19092: Address already in use.
	at kafka.network.Acceptor.openServerSocket(SocketServer.scala:586)
Caused by: java.net.BindException: Address already in use
	... 18 more
2026-11-21T08:16:03.498Z ERROR kafka.Kafka$ - Exiting Kafka due to fatal exception during startup.
java.lang.RuntimeException: Received a fatal error while waiting for all of the SocketServer Acceptors to be started
	at org.apache.kafka.server.util.FutureUtils.waitWithLogging(FutureUtils.java:73)
Caused by: java.lang.RuntimeException: Unable to start acceptor for CLIENTS
	... 6 more
Caused by: java.net.BindException: Address already in use
	... 18 more
2026-11-21T08:16:03.678Z WARN org.apache.kafka.clients.NetworkClient - [NodeToControllerChannelManager id=1 name=registration] Attempting to close NetworkClient that has already been closed.
"""  # noqa: E501 - as Kafka wrote it

FATAL = "Exiting Kafka due to fatal exception during startup."

NO_HEAP = """\
Error occurred during initialization of VM
Too small maximum heap
"""

JETTY = """\
2026-11-27T22:25:46.257Z INFO org.gaul.shaded.org.eclipse.jetty.server.Server - jetty-12.1.12; built
2026-11-27T22:25:46.286Z ERROR org.gaul.s3proxy.Main - Failed to bind to /127.0.0.1:18080
"""

NOT_ALLOWED = """\
org.apache.kafka.common.KafkaException: Server failed to bind to 127.0.0.1:80: Permission denied
"""

NO_ERROR = """\
WARNING: A terminally deprecated method in sun.misc.Unsafe has been called
2026-11-21T08:15:49.622Z INFO kafka.server.KafkaRaftServer - [KafkaRaftServer nodeId=1] Kafka Server started
2026-11-21T08:15:50.622Z WARN some.Logger - It is late
java.lang.IllegalStateException: of no consequence
	at some.Logger.log(Logger.java:1)
"""  # noqa: E501 - as Kafka wrote it


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (TAKEN_PORT, f"{FATAL} (java.net.BindException: Address already in use)"),
        (NO_HEAP, "Too small maximum heap"),
        ("2026-11-21T08:16:03Z ERROR a.B - [Broker id=1] Disk full\n", "Disk full"),
        ("", ""),
    ],
)
def test_the_last_error_is_reported_with_its_deepest_cause(log: str, words: str) -> None:
    assert last_error(log) == words


def test_warnings_are_no_errors() -> None:
    assert "started" not in last_error(NO_ERROR)
    assert "late" not in last_error(NO_ERROR)


def test_the_port_that_was_taken_is_found() -> None:
    assert taken_port(TAKEN_PORT) == 19092
    assert taken_port(JETTY) == 18080
    assert taken_port(NOT_ALLOWED) is None
    assert taken_port(NO_HEAP) is None
