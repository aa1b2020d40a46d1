"""Finds out why Kafka can't be reached, in words that name the setting.

aiokafka logs the reason, but raises only that it can't connect. So this probes the bootstrap
servers, and the brokers in their metadata, again. Invariant: the result comes within two seconds
and contains no secret.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

NO_CONNECTION = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError)
"""aiokafka's errors that mean no broker answers; their texts describe its internals."""

_PROBE_SECONDS = 2.0
_HANGS_UP = (KafkaConnectionError, ConnectionResetError, ConnectionAbortedError, ssl.SSLError)
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED; OpenSSL's numbers don't change
_ELSEWHERE = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


async def why_unreachable(client_options: Mapping[str, Any]) -> str | None:
    """Why a client with these options of aiokafka's can't connect; None if it can now.

    Names the broker if it isn't a bootstrap server.
    """
    connection = dict(client_options)
    servers = collect_hosts(connection.pop("bootstrap_servers"))
    reasons: list[str] = []
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            for host, port, _ in servers:
                reasons += filter(None, [await _probe(host, port, connection)])
    except TimeoutError:
        reasons.append("it doesn't answer")
    # A server that refuses the settings explains more than one that is down.
    reasons.sort(key=lambda reason: "SLUICE_" not in reason)
    return reasons[0] if reasons else None


async def _probe(host: str, port: int, connection: Mapping[str, Any]) -> str | None:
    """Why this server, or a broker in its metadata, can't be used."""
    try:
        brokers = await _brokers(host, port, connection)
    except (KafkaError, OSError) as error:
        return _in_words(error, connection)
    # An advertised broker may be unreachable even if the bootstrap server isn't.
    for broker in brokers - {(host, port)}:
        try:
            await _brokers(*broker, connection)
        except (KafkaError, OSError) as error:
            return f"at {broker[0]}:{broker[1]}, {_in_words(error, connection)}"
    return None


async def _brokers(host: str, port: int, connection: Mapping[str, Any]) -> set[tuple[str, int]]:
    connected = await create_conn(host, port, **connection)
    try:
        answer = await connected.send(MetadataRequest([]))
    finally:
        connected.close()
    return {(broker[1], broker[2]) for broker in answer.brokers}


def _in_words(error: Exception, connection: Mapping[str, Any]) -> str:
    alert = _alert(error.__cause__)
    match error:
        case ssl.SSLCertVerificationError():
            words = _untrusted(error)
        case SaslAuthenticationFailed():
            words = f"it refuses SLUICE_SASL_USERNAME with SLUICE_SASL_PASSWORD: {error}"
        case UnsupportedSaslMechanismError():
            words = f"it doesn't take SLUICE_SASL_MECHANISM {connection.get('sasl_mechanism')}"
        case IllegalSaslStateError():
            words = "it wants no SASL there; is SLUICE_SECURITY_PROTOCOL right?"
        case _ if alert:
            words = f"it wants a certificate that it trusts in SLUICE_SSL_CERTFILE: {alert}"
        case _ if isinstance(error, _HANGS_UP):
            words = "it closes the connection; is SLUICE_SECURITY_PROTOCOL right?"
        case OSError(errno=int(number)) if number > 0:
            words = os.strerror(number).lower()  # asyncio's own text describes its internals
        case _:
            words = str(error) or type(error).__name__
    return words


def _alert(error: BaseException | None) -> str | None:
    """The server's TLS alert about our side; with TLS 1.3 it comes after the handshake."""
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason.replace("_", " ").lower() if reason and "ALERT" in reason else None


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "its certificate, or that of its authority in SLUICE_SSL_CAFILE, has expired"
    if error.verify_code in _ELSEWHERE:
        problem = error.verify_message.rstrip(".")
        return f"it is not who it should be: {problem}; is SLUICE_BOOTSTRAP_SERVERS right?"
    return f"no authority in SLUICE_SSL_CAFILE vouches for it: {error.verify_message}"
