"""The embedded Kafka with listeners that ask for TLS, SASL, or both.

One broker has them all, next to a plain one that is its own, so that what differs between two tests
is how a client connects and nothing else.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.config import server_properties
from broker.embedded import EmbeddedKafka
from broker.kafka_storage import STORAGE
from broker.ports import LOOPBACK, pick_free_port
from tests.support.certificates import Authority, Issued
from tests.support.scram import add_scram_user

USER = "alice"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a broker that lives as long as a test
_MECHANISMS = {"SASL": "PLAIN,SCRAM-SHA-256", "SASLTLS": "PLAIN,SCRAM-SHA-512"}
_KINDS = {
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
    "SASL": "SASL_PLAINTEXT",
    "SASLTLS": "SASL_SSL",
}
"""Listeners by name, and the security protocol of each."""


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """``servers`` are host:port by listener, PLAIN among them; ``client`` is one it knows."""

    servers: Mapping[str, str]
    authority: Authority
    stranger: Authority
    client: Issued

    def settings(self, listener: str, mechanism: str = "PLAIN") -> dict[str, str]:
        """What a client has to set for one of the listeners, without the prefix."""
        protocol = _KINDS.get(listener, "PLAINTEXT")
        found = {
            "BOOTSTRAP_SERVERS": self.servers[listener],
            "SECURITY_PROTOCOL": protocol,
        }
        if protocol.startswith("SASL"):
            found |= {"SASL_MECHANISM": mechanism}
            found |= {"SASL_USERNAME": USER, "SASL_PASSWORD": PASSWORD}
        if protocol.endswith("SSL"):
            found["SSL_CAFILE"] = str(self.authority.certificate)
        if listener == "MUTUAL":
            found["SSL_CERTFILE"] = str(self.client.certificate)
            found["SSL_KEYFILE"] = str(self.client.key)
        return found


@contextmanager
def secured_kafka(directory: Path) -> Iterator[SecuredKafka]:
    """The broker, with one user, who has the same password for every mechanism."""
    authority = Authority(directory / "certificates")
    client = authority.issue("client")
    ports = _free_ports("CLIENTS", "CONTROLLER", *_KINDS)
    properties = _properties(ports, authority)
    with EmbeddedKafka(directory / "kafka", ports["CLIENTS"], properties=properties) as kafka:
        asyncio.run(add_scram_user(kafka.bootstrap_servers, USER, PASSWORD))
        servers = {name: f"{LOOPBACK}:{ports[name]}" for name in _KINDS}
        yield SecuredKafka(
            servers | {"PLAIN": kafka.bootstrap_servers},
            authority,
            Authority(directory / "certificates", "stranger"),
            client,
        )


def _free_ports(*names: str) -> dict[str, int]:
    ports: set[int] = set()
    while len(ports) < len(names):
        ports.add(pick_free_port())
    return dict(zip(names, ports, strict=True))


def _properties(ports: Mapping[str, int], authority: Authority) -> dict[str, str]:
    usual = server_properties(ports["CLIENTS"], ports["CONTROLLER"], STORAGE)
    more = [f"{name}://{LOOPBACK}:{ports[name]}" for name in _KINDS]
    kinds = [f"{name}:{protocol}" for name, protocol in _KINDS.items()]
    stores = {
        "TLS": authority.issue("broker"),
        "MUTUAL": authority.issue("broker-mutual"),
        "SASLTLS": authority.issue("broker-sasl"),
        "EXPIRED": authority.issue("broker-expired", days=-1),
        "ELSEWHERE": authority.issue("broker-elsewhere", "DNS:localhost"),
    }
    properties = usual | {
        "listeners": ",".join([usual["listeners"], *more]),
        "advertised.listeners": ",".join([usual["advertised.listeners"], *more]),
        "listener.security.protocol.map": ",".join(
            [usual["listener.security.protocol.map"], *kinds]
        ),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(authority.certificate),
    }
    for name, issued in stores.items():
        prefix = f"listener.name.{name.lower()}.ssl.keystore"
        properties |= {f"{prefix}.type": "PEM", f"{prefix}.location": str(issued.keystore)}
    for name, mechanisms in _MECHANISMS.items():
        properties |= _sasl_properties(f"listener.name.{name.lower()}", mechanisms)
    return properties


def _sasl_properties(prefix: str, mechanisms: str) -> dict[str, str]:
    modules = "org.apache.kafka.common.security"
    scram = f"{modules}.scram.ScramLoginModule required;"
    return {
        f"{prefix}.sasl.enabled.mechanisms": mechanisms,
        f"{prefix}.plain.sasl.jaas.config": (
            f'{modules}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
        f"{prefix}.scram-sha-256.sasl.jaas.config": scram,
        f"{prefix}.scram-sha-512.sasl.jaas.config": scram,
    }
