"""Settings of Kafka's security: what goes together, and files that can't serve."""

import ssl
from pathlib import Path

import pytest

from tests.support.settings import load, refused

# Made for these tests; nothing else knows them.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUJqv0z+q7HjYAwp/Cnx4UsNWc9REwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjEwNzU3MTlaGA8yMTI2MTAyODA3NTcx
OVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABK4u
L8cvyKlWSansG6EjTosHcv8tdb6bvqBf2AoGPrjvrjTPJK4FmELOUdL3jzvSGnKS
T28ogkBhzu+zRM1lvHmjUzBRMB0GA1UdDgQWBBTEw3bICdqE8aYoJMOGX+P7AXTU
xzAfBgNVHSMEGDAWgBTEw3bICdqE8aYoJMOGX+P7AXTUxzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIDpH/CLkz13siB19epFCi/SwL2p2rOX5Nasu
TkHjxpILAiEA3AcN81loks1o5KwHZjYBJq104D3gp4AUXQKCdc1FWgI=
-----END CERTIFICATE-----
"""

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqO5fMn3c2gGx9P+F
5v87OfKAGsGgVwoTwqqZl67CP+KhRANCAASuLi/HL8ipVkmp7BuhI06LB3L/LXW+
m76gX9gKBj647640zySuBZhCzlHS94870hpykk9vKIJAYc7vs0TNZbx5
-----END PRIVATE KEY-----
"""

OTHER_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXZqSRK2K1+svb2da
QUZuENMLe6RKUyi9L5+3vH1SxQuhRANCAAThrVvSS1biw8rHarQuh395p9wBgMxp
kFfbIZeteLRlRNRFEtfBHWRYRf3pJhq3ZkZZT/o/gPNflrYZnvaM+bz+
-----END PRIVATE KEY-----
"""

ENCRYPTED_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAifEURyIsxzKAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKW0+t6NUQhGzozrnIuXVVsEgZDb
L/eDAGFxJ4hroCIJtNrDPMWVHHn4kQ4wCHBx8iC5PlLcbDTzcTr14ASqFr/WwIN0
mfW5VIxpnsxPZUGHLEjeT2c8yPy3iPd0Tq/wWRD3fZ4BVKnrab0pECnLUKfo+/63
kxP9WykztjeFHuDy5ea36NaiKesmNPPgN2koJe/waCz6KcP2Yn1gWbJjIqEQZ/E=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    files = {"cert": CERTIFICATE, "key": KEY, "other": OTHER_KEY, "locked": ENCRYPTED_KEY}
    for name, text in files.items():
        (tmp_path / f"{name}.pem").write_text(text)
    (tmp_path / "junk.pem").write_text("junk")
    return tmp_path


def test_without_security_a_client_only_needs_the_servers() -> None:
    assert load(BOOTSTRAP_SERVERS="k:1").client_options() == {
        "bootstrap_servers": "k:1",
        "security_protocol": "PLAINTEXT",
    }


def test_sasl_needs_a_name_and_a_password() -> None:
    line = refused(SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="me")
    assert line == (
        "SLUICE_SASL_PASSWORD: must be set when SLUICE_SECURITY_PROTOCOL is SASL_PLAINTEXT"
    )
    word = "open sesame"
    settings = load(SECURITY_PROTOCOL="SASL_PLAINTEXT", SASL_USERNAME="me", SASL_PASSWORD=word)
    assert settings.client_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": word,
    }


SASL = "SLUICE_SASL_{}: must be set when SLUICE_SECURITY_PROTOCOL is {}"

USELESS = "SLUICE_{}: is of no use when SLUICE_SECURITY_PROTOCOL is {}"

NEVER_READ = {"SSL_CAFILE": "cert.pem", "SSL_CERTFILE": "cert.pem", "SSL_KEYFILE": "key.pem"}


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (
            {"SASL_USERNAME": "me", "SASL_PASSWORD": "word"},
            [USELESS.format(f"SASL_{it}", "PLAINTEXT") for it in ("USERNAME", "PASSWORD")],
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SASL_USERNAME": "me"},
            [USELESS.format("SASL_USERNAME", "SSL")],
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "MD5"},
            [
                (
                    "SLUICE_SASL_MECHANISM: must be 'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512', "
                    "not 'MD5'"
                ),
                SASL.format("USERNAME", "SASL_SSL"),
                SASL.format("PASSWORD", "SASL_SSL"),
            ],
        ),
        (NEVER_READ, [USELESS.format(name, "PLAINTEXT") for name in NEVER_READ]),
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_PASSWORD": "word", **NEVER_READ},
            [
                SASL.format("USERNAME", "SASL_PLAINTEXT"),
                *(USELESS.format(name, "SASL_PLAINTEXT") for name in NEVER_READ),
            ],
        ),
        (
            {"SECURITY_PROTOCOL": "TLS", "SASL_PASSWORD": "word", "SSL_CAFILE": "junk.pem"},
            [
                (
                    "SLUICE_SECURITY_PROTOCOL: must be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or "
                    "'SASL_SSL', not 'TLS'"
                ),
                "SLUICE_SSL_CAFILE: {}/junk.pem holds no certificate in PEM form",
            ],
        ),
        (
            {"SECURITY_PROTOCOL": "SSL", "SSL_CAFILE": ".", "SSL_CERTFILE": "cert.pem"},
            [
                "SLUICE_SSL_CAFILE: {0} can't be read: Is a directory",
                "SLUICE_SSL_KEYFILE: {0}/cert.pem holds no unencrypted PEM key of {0}/cert.pem",
            ],
        ),
    ],
)
def test_security_that_does_not_fit_together_is_named_at_once(
    pem: Path, given: dict[str, str], lines: list[str]
) -> None:
    """What is set and not used is refused too: one who sets a password believes in it."""
    paths = {name: f"{pem}/{it}" if name.endswith("FILE") else it for name, it in given.items()}
    assert refused(**paths) == "; ".join(lines).format(pem)


def test_a_wrong_file_is_named_whatever_the_protocol(pem: Path) -> None:
    assert "/none.pem can't be read" in refused(SSL_CAFILE=f"{pem}/none.pem")


def test_tls_takes_the_given_authority_and_certificate(pem: Path) -> None:
    settings = load(
        SECURITY_PROTOCOL="SSL",
        SSL_CAFILE=f"{pem}/cert.pem",
        SSL_CERTFILE=f"{pem}/cert.pem",
        SSL_KEYFILE=f"{pem}/key.pem",
    )
    context = settings.client_options()["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "test"),),)]


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {"SSL_CAFILE": "junk.pem"},
            "SLUICE_SSL_CAFILE: {}/junk.pem holds no certificate in PEM form",
        ),
        (
            {"SSL_CERTFILE": "key.pem"},
            "SLUICE_SSL_CERTFILE: {}/key.pem holds no certificate in PEM form",
        ),
        ({"SSL_KEYFILE": "key.pem"}, "SLUICE_SSL_KEYFILE: must come with SLUICE_SSL_CERTFILE"),
        *(
            (
                {"SSL_CERTFILE": "cert.pem", "SSL_KEYFILE": key},
                f"SLUICE_SSL_KEYFILE: {{0}}/{key} holds no unencrypted PEM key of {{0}}/cert.pem",
            )
            for key in ("junk.pem", "other.pem", "locked.pem")
        ),
    ],
)
def test_a_certificate_that_cannot_serve_is_named(
    pem: Path, files: dict[str, str], line: str
) -> None:
    given = {name: f"{pem}/{file}" for name, file in files.items()}
    assert refused(SECURITY_PROTOCOL="SSL", **given) == line.format(pem)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {"HTTP_CERTFILE": "key.pem"},
            "SLUICE_HTTP_CERTFILE: {}/key.pem holds no certificate in PEM form",
        ),
        ({"HTTP_KEYFILE": "key.pem"}, "SLUICE_HTTP_KEYFILE: must come with SLUICE_HTTP_CERTFILE"),
        (
            {"HTTP_CERTFILE": "cert.pem"},
            "SLUICE_HTTP_KEYFILE: {0}/cert.pem holds no unencrypted PEM key of {0}/cert.pem",
        ),
        *(
            (
                {"HTTP_CERTFILE": "cert.pem", "HTTP_KEYFILE": key},
                f"SLUICE_HTTP_KEYFILE: {{0}}/{key} holds no unencrypted PEM key of {{0}}/cert.pem",
            )
            for key in ("junk.pem", "other.pem", "locked.pem")
        ),
        (
            {"HTTP_CERTFILE": "none.pem"},
            "SLUICE_HTTP_CERTFILE: {}/none.pem can't be read: No such file or directory",
        ),
    ],
)
def test_a_certificate_of_the_http_side_that_cannot_serve_is_named(
    pem: Path, files: dict[str, str], line: str
) -> None:
    given = {name: f"{pem}/{file}" for name, file in files.items()}
    assert refused(**given) == line.format(pem)


def test_the_http_side_needs_no_security_of_kafkas(pem: Path) -> None:
    settings = load(HTTP_CERTFILE=f"{pem}/cert.pem", HTTP_KEYFILE=f"{pem}/key.pem")
    assert (settings.http_certfile, settings.http_keyfile) == (pem / "cert.pem", pem / "key.pem")
