"""Settings: the contract's names and defaults, and one line for everything that is wrong."""

import re
from pathlib import Path

import pytest

from consumer.lanes.transactions import Destination
from schemas.topics import Topics
from sluice.access.gate import AccessGate
from sluice.http.app import HttpLimits
from sluice.links import LinkKeys
from sluice.settings import Settings, load_settings
from tests.support.settings import load, refused

# Name and default of the contract; None where it names none.
CONTRACT: dict[str, object] = {
    "BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "GROUP_ID": "sluice",
    "GROUP_INSTANCE_ID": None,
    "TOPIC_PREFIX": "export",
    "OUTPUT_PREFIX": None,
    "PARTITIONS": 12,
    "REPLICATION_FACTOR": 1,
    "STORAGE_URL": "./exports",
    "STORAGE_OPTIONS": None,
    "SCRATCH_DIR": None,
    "RETENTION_SECONDS": None,
    "MANIFEST_RETENTION_SECONDS": None,
    "HTTP_HOST": "127.0.0.1",
    "HTTP_PORT": 4001,
    "HTTP_CERTFILE": None,
    "HTTP_KEYFILE": None,
    "PUBLIC_URL": None,
    "LINK_KEYS": None,
    "MAX_CONCURRENCY": 5,
    "MAX_OPEN_EXPORTS": 800,
    "QUEUE_LIMIT": 100,
    "USER_QUEUE_LIMIT": None,
    "MAX_BODY_BYTES": 64 * 1024**2,
    "MAX_EXPORT_BYTES": 10 * 1024**3,
    "MAX_RECORD_BYTES": 16 * 1024**2,
    "IDLE_TIMEOUT_SECONDS": 300,
    "STORAGE_TIMEOUT_SECONDS": 300,
    "SESSION_TIMEOUT_SECONDS": 10,
    "DRAIN_TIMEOUT_SECONDS": 5,
    "API_TOKENS": None,
    "API_TOKENS_FILE": None,
    "OIDC_ISSUER": None,
    "OIDC_AUDIENCE": None,
    "OIDC_USER_CLAIM": "sub",
    "OIDC_ROLE_CLAIM": None,
    "PDF_FONTS": "",
    "LOG_LEVEL": "info",
    "ENCODERS": "auto",
    "LOG_FORMAT": "auto",
    "SECURITY_PROTOCOL": "PLAINTEXT",
    "SASL_MECHANISM": "PLAIN",
    "SASL_USERNAME": None,
    "SASL_PASSWORD": None,
    "SSL_CAFILE": None,
    "SSL_CERTFILE": None,
    "SSL_KEYFILE": None,
}


def test_the_settings_are_those_of_the_contract_with_its_defaults() -> None:
    assert {name.upper(): value for name, value in load().model_dump().items()} == CONTRACT


@pytest.mark.parametrize("name", CONTRACT)
def test_an_empty_variable_counts_as_not_set(name: str) -> None:
    assert load(**{name: ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        (
            "BOOTSTRAP_SERVERS",
            "a.example:9092, b:1,[::1]:9093,c",
            "a.example:9092, b:1,[::1]:9093,c",
        ),
        ("PARTITIONS", "48", 48),
        ("HTTP_PORT", "0", 0),
        ("RETENTION_SECONDS", "2592000", 2_592_000),
        ("MANIFEST_RETENTION_SECONDS", "1", 1),
        ("HTTP_PORT", "65535", 65535),
        ("MAX_EXPORT_BYTES", "1099511627776", 1099511627776),
        ("SESSION_TIMEOUT_SECONDS", "45", 45.0),
        ("SESSION_TIMEOUT_SECONDS", "1.5", 1.5),
        ("DRAIN_TIMEOUT_SECONDS", "0.25", 0.25),
        ("IDLE_TIMEOUT_SECONDS", "86400", 86400.0),
        ("LOG_LEVEL", "DEBUG", "debug"),
        ("ENCODERS", "Python", "python"),
        ("LOG_FORMAT", "Json", "json"),
        ("SECURITY_PROTOCOL", "ssl", "SSL"),
        ("SASL_MECHANISM", "scram-sha-512", "SCRAM-SHA-512"),
        ("STORAGE_URL", "file:///srv/exports", "file:///srv/exports"),
        ("GROUP_INSTANCE_ID", "node-1", "node-1"),
    ],
)
def test_values_are_read_from_text(name: str, value: str, read: object) -> None:
    assert getattr(load(**{name: value}), name.lower()) == read


STORAGE_WORDS = "must be a path, file:///path, or s3://, gs:// or az://bucket/prefix"
PREFIX_WORDS = "has a prefix of other than letters, digits and . _ = + - / between them"
TOPIC_WORDS = "may have letters, digits, '.', '_' and '-' only, at most 200 of them"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PARTITIONS", "many", "must be a whole number, not 'many'"),
        ("PARTITIONS", "1.5", "must be a whole number, not '1.5'"),
        ("PARTITIONS", "0", "must be at least 1, not '0'"),
        ("PARTITIONS", "10001", "must be at most 10000, not '10001'"),
        ("REPLICATION_FACTOR", "-1", "must be at least 1, not '-1'"),
        ("HTTP_PORT", "65536", "must be at most 65535, not '65536'"),
        ("HTTP_PORT", "-1", "must be at least 0, not '-1'"),
        ("HTTP_PORT", "http", "must be a whole number, not 'http'"),
        ("MAX_CONCURRENCY", "6", "must be at most 5, not '6'"),
        ("MAX_OPEN_EXPORTS", "801", "must be at most 800, not '801'"),
        ("QUEUE_LIMIT", "0", "must be at least 1, not '0'"),
        ("MAX_BODY_BYTES", "64MiB", "must be a whole number, not '64MiB'"),
        ("MAX_EXPORT_BYTES", "1e9", "must be a whole number, not '1e9'"),
        ("IDLE_TIMEOUT_SECONDS", "0", "must be more than 0, not '0'"),
        ("IDLE_TIMEOUT_SECONDS", "5m", "must be a number, not '5m'"),
        ("STORAGE_TIMEOUT_SECONDS", "86401", "must be at most 86400, not '86401'"),
        ("SESSION_TIMEOUT_SECONDS", "0.5", "must be at least 1, not '0.5'"),
        ("SESSION_TIMEOUT_SECONDS", "inf", "must be a finite number, not 'inf'"),
        ("DRAIN_TIMEOUT_SECONDS", "nan", "must be a finite number, not 'nan'"),
        ("DRAIN_TIMEOUT_SECONDS", "601", "must be at most 600, not '601'"),
        ("LOG_LEVEL", "loud", "must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("ENCODERS", "rust", "must be 'auto' or 'python', not 'rust'"),
        ("LOG_FORMAT", "xml", "must be 'auto', 'console' or 'json', not 'xml'"),
        (
            "SECURITY_PROTOCOL",
            "TLS",
            "must be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL', not 'TLS'",
        ),
        (
            "SASL_MECHANISM",
            "GSSAPI",
            "must be 'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512', not 'GSSAPI'",
        ),
        ("TOPIC_PREFIX", "my topic", TOPIC_WORDS),
        ("TOPIC_PREFIX", "x" * 201, TOPIC_WORDS),
        ("TOPIC_PREFIX", "export\n", TOPIC_WORDS),
        ("OUTPUT_PREFIX", "ä", TOPIC_WORDS),
        ("GROUP_INSTANCE_ID", "node 1", TOPIC_WORDS),
        ("GROUP_ID", "\udcff", "must be UTF-8"),
        ("SSL_CAFILE", "/\udcff", "must be UTF-8"),
        ("STORAGE_URL", "https://x/y", STORAGE_WORDS),
        ("STORAGE_URL", "file://host/path", STORAGE_WORDS),
        ("STORAGE_URL", "file:exports", STORAGE_WORDS),
        ("STORAGE_URL", "s3://", "must name a bucket, as in s3://bucket/prefix, and nothing else"),
        (
            "STORAGE_URL",
            "s3://key:s3cr3t@bucket/p",
            "must name a bucket, as in s3://bucket/prefix, and nothing else",
        ),
        ("STORAGE_URL", "s3://bucket/a/../b", PREFIX_WORDS),
        ("STORAGE_URL", "gs://bucket//b", PREFIX_WORDS),
        ("STORAGE_URL", "az://container/a?b", PREFIX_WORDS),
        (
            "STORAGE_OPTIONS",
            "region=x",
            "is of no use when SLUICE_STORAGE_URL is a directory",
        ),
        ("SCRATCH_DIR", "scratch", "must be an absolute path"),
        ("STORAGE_URL", "file:///a#b", "a file:// path has '?' and '#' as %3F and %23, and no %00"),
        ("API_TOKENS", "t:alice,nobody", "entry 2 is not of the form token:user"),
        ("API_TOKENS", "t:a\x1bb", "entry 1 has a user that is too long or no text"),
        ("API_TOKENS", "t:alice,t:bob", "entry 2 has the token of another user"),
        ("PDF_FONTS", "/none/x.ttf", "/none/x.ttf can't be read: No such file or directory"),
        ("SSL_CERTFILE", "/none.pem", "/none.pem can't be read: No such file or directory"),
    ],
)
def test_a_wrong_value_is_named_with_its_problem(name: str, value: str, words: str) -> None:
    assert refused(**{name: value}) == f"SLUICE_{name}: {words}"


@pytest.mark.parametrize("servers", ["a:b", "a:0", "a:65536", "::1", "a,,b", " ", "http://a:1"])
def test_bootstrap_servers_are_hosts_with_ports(servers: str) -> None:
    line = refused(BOOTSTRAP_SERVERS=servers)
    assert re.fullmatch(r"SLUICE_BOOTSTRAP_SERVERS: '.*' is not host:port; .*", line)


def test_all_that_is_wrong_is_reported_together() -> None:
    line = refused(
        HTTP_PROT="4001", PARTITIONS="x", SECURITY_PROTOCOL="SASL_SSL", LOG_LEVEL="x", FOO="1"
    )
    names = [part.split(":")[0] for part in line.split("; ")]
    assert names == [
        "SLUICE_FOO",
        "SLUICE_HTTP_PROT",
        "SLUICE_PARTITIONS",
        "SLUICE_LOG_LEVEL",
        "SLUICE_SASL_USERNAME",
        "SLUICE_SASL_PASSWORD",
    ]
    assert "SLUICE_FOO: is not a setting;" in line
    assert "SLUICE_HTTP_PROT: is not a setting (did you mean SLUICE_HTTP_PORT?)" in line


def test_an_unknown_name_is_refused_even_when_empty() -> None:
    assert refused(FOO="") == "SLUICE_FOO: is not a setting"


def test_names_of_tests_of_kubernetes_and_of_others_are_ignored() -> None:
    environment = {
        "SLUICE_TEST_BOOTSTRAP_SERVERS": "x:1",
        "SLUICE_PORT": "tcp://10.0.0.1:4001",
        "SLUICE_PORT_4001_TCP_ADDR": "10.0.0.1",
        "SLUICE_SERVICE_HOST": "10.0.0.1",
        "SLUICE_SERVICE_PORT_HTTP": "4001",
        "PATH": "/bin",
        "NOT_SLUICE_FOO": "1",
    }
    assert load_settings(environment) == Settings()


def test_secrets_are_neither_shown_nor_quoted() -> None:
    hush = "hush" * 8
    login = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "me", "SASL_PASSWORD": hush}
    settings = load(API_TOKENS=f"{hush}:alice", LINK_KEYS=hush, **login)
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(vars(settings))]
    shown.append(str(Destination(settings.topics, "sluice", settings.client_options(), 1_000)))
    shown.append(str(AccessGate(settings.users_by_token)))
    shown.append(str(HttpLimits(link_keys=settings.signing_keys)))
    assert hush not in "".join(shown)
    wrong = {"API_TOKENS": hush, "SASL_PASSWORD": hush, "LINK_KEYS": f"{hush},hush"}
    assert "hush" not in refused(**wrong, PARTITIONS="x")


def test_keys_of_links_are_secrets_by_commas() -> None:
    assert load().signing_keys is None
    keys = load(LINK_KEYS=f"{'n' * 32}, {'o' * 32}").signing_keys
    assert keys
    assert keys.sign("a", 1) == LinkKeys(["n" * 32]).sign("a", 1)
    assert keys.verify("a", 1, LinkKeys(["o" * 32]).sign("a", 1))
    assert refused(LINK_KEYS="a,,b") == "SLUICE_LINK_KEYS: entry 2 is empty"


@pytest.mark.parametrize(
    "url",
    ["https://e.org", "http://127.0.0.1:8080", "https://[::1]:443/a/b-c", "https://e.org/x/"],
)
def test_a_public_url_has_no_slash_at_its_end(url: str) -> None:
    assert load(PUBLIC_URL=url).public_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "e.org",
        "ftp://e.org",
        "https://",
        "https://e.org?a=1",
        "https://e.org/#a",
        "https://me:s3cr3t@e.org",
        "https://e.org:0",
        "https://e.org:99999",
        "https://e.org/a b",
        "https://e.org\n",
    ],
)
def test_what_is_no_public_url(url: str) -> None:
    words = "must be http://host or https://host, with a port or a path if need be"
    assert refused(PUBLIC_URL=url) == f"SLUICE_PUBLIC_URL: {words}"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:4001"),
        ({"HTTP_HOST": "0.0.0.0", "HTTP_PORT": "80"}, "http://127.0.0.1:80"),  # noqa: S104
        ({"HTTP_HOST": "::"}, "http://[::1]:4001"),
        ({"HTTP_PORT": "0"}, None),
    ],
)
def test_where_the_node_of_the_settings_is(given: dict[str, str], url: str | None) -> None:
    assert load(**given).node_url == url


def test_a_long_wrong_value_is_cut() -> None:
    assert len(refused(PARTITIONS="9" * 5_000)) < 150


def test_topics_take_their_names_from_the_two_prefixes() -> None:
    assert load(TOPIC_PREFIX="in", OUTPUT_PREFIX="out").topics == Topics(
        "in.requests", "in.records", "out.completions", "out.dead-letters"
    )
    assert load(TOPIC_PREFIX="in").topics.completions == "in.completions"


def test_fonts_are_a_list_of_files(tmp_path: Path) -> None:
    fonts = (tmp_path / "a.ttf", tmp_path / "b.ttf")
    for font in fonts:
        font.touch()
    assert load(PDF_FONTS=f"{fonts[0]}:{fonts[1]}").pdf_font_files == fonts
    assert load().pdf_font_files == ()
