"""Settings of the storage: its place, and what the client of an object store would break on."""

from pathlib import Path

import pytest

from sluice.errors import UsageError
from sluice.settings import load_settings
from tests.support.settings import load


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("./exports", Path.cwd() / "exports"),
        ("a:b", Path.cwd() / "a:b"),
        ("/srv/x", Path("/srv/x")),
        ("file:///srv/a%20b", Path("/srv/a b")),
        ("file://localhost/srv/x", Path("/srv/x")),
        ("FILE:/srv/x", Path("/srv/x")),
    ],
)
def test_storage_is_an_absolute_directory(url: str, directory: Path) -> None:
    assert load(STORAGE_URL=url).storage_directory == directory


@pytest.mark.parametrize("url", ["s3:/bucket", "S3:bucket", "gs:/bucket/p", "az:/a", "ftp://a/b"])
def test_what_was_meant_as_a_url_is_no_directory(url: str) -> None:
    with pytest.raises(UsageError, match="must be a path, file:///path, or s3://, gs:// or az://"):
        load(STORAGE_URL=url)
    assert load(STORAGE_URL=f"./{url}").storage_directory == Path.cwd() / url


A_URL = "must be http://host or https://host, with a port if need be"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("region", "entry 1 is not of the form key=value"),
        ("region=x,s3cr3t", "entry 2 is not of the form key=value"),
        ("region=x,region=y", "region is given twice"),
        ("bucket=s3cr3t", "bucket is a part of SLUICE_STORAGE_URL"),
        ("rejion=s3cr3t", "rejion: there is no such option of s3://"),
        ("skip_signature=s3cr3t", 'can\'t be used: failed to parse "…" as boolean'),
        ("ca_file=/none.pem", "ca_file: /none.pem can't be read: No such file or directory"),
        *(
            (f"{name}={value}", f"{name} {A_URL}")
            for name, value in [
                ("endpoint", ""),
                ("endpoint", "s3cr3t"),
                ("endpoint", "127.0.0.1:9000"),
                ("endpoint_url", "//s3cr3t"),
                ("aws_endpoint", "http://"),
                ("aws_endpoint_url", "http://s3cr3t:70000"),
                ("aws_endpoint_url_s3", "http://a b"),
                ("endpoint", "http://user:s3cr3t@host"),
                ("endpoint", "http://bücher.example"),
            ]
        ),
        ("metadata_endpoint=s3cr3t", f"metadata_endpoint {A_URL}"),
        ("region=s3 cr3t", "region must be the name of a region, such as eu-central-1"),
        ("token=s3\ncr3t", "token holds a line break or another control character"),
    ],
)
def test_a_wrong_option_of_a_store_is_named_without_its_value(options: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(STORAGE_URL="s3://bucket/p", STORAGE_OPTIONS=options)
    assert str(raised.value) == f"SLUICE_STORAGE_OPTIONS: {words}"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ACCESS_KEY_ID", "key\n", "holds a line break or another control character"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t\r\n", "holds a line break or another control character"),
        ("AWS_SESSION_TOKEN", "s3\tcr3t", "holds a line break or another control character"),
        ("AWS_REGION", "eu/central", "must be the name of a region, such as eu-central-1"),
        (
            "AWS_ENDPOINT_URL",
            "minio:9000",
            A_URL,
        ),
    ],
)
def test_a_variable_of_the_provider_that_the_client_would_break_on_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as raised:
        load(STORAGE_URL="s3://bucket/p")
    assert str(raised.value) == f"SLUICE_STORAGE_OPTIONS: {name} {words}"
    load(STORAGE_URL="gs://bucket/p")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9000",
        "https://minio.example.org/",
        "https://[::1]:9000",
        "https://x.example/s3/a-b~c",
    ],
)
def test_an_endpoint_is_a_url(endpoint: str) -> None:
    load(STORAGE_URL="s3://bucket/p", STORAGE_OPTIONS=f"endpoint={endpoint}")


def test_every_address_is_a_url() -> None:
    given = {"gs": "base_url", "az": "account_name=a,use_fabric_endpoint=true,authority_host"}
    for scheme, options in given.items():
        url = f"{scheme}://bucket/p"
        load(STORAGE_URL=url, STORAGE_OPTIONS=f"{options}=https://host/")
        name = options.rpartition(",")[2]
        with pytest.raises(UsageError, match=f"OPTIONS: {name} must be http://host or https://"):
            load(STORAGE_URL=url, STORAGE_OPTIONS=f"{options}=host")


def test_a_line_break_behind_a_tenant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a secret that was made of a file."""
    monkeypatch.setenv("AZURE_TENANT_ID", "t\n")
    with pytest.raises(UsageError, match="OPTIONS: AZURE_TENANT_ID holds a line break"):
        load(STORAGE_URL="az://container", STORAGE_OPTIONS="account_name=a")


def test_options_of_a_store_are_shown_nowhere() -> None:
    options = "access_key_id=k,secret_access_key=s3cr3t"
    settings = load(STORAGE_URL="s3://bucket/p/", STORAGE_OPTIONS=options)
    assert settings.storage_directory is None
    assert settings.bucket_options == dict(pair.split("=") for pair in options.split(","))
    assert "s3cr3t" not in f"{settings!r} {settings}"


def test_options_of_a_store_are_for_commands_beside_a_directory() -> None:
    """They reach objects by these: ``sluice submit s3://…`` where nodes keep files on a disk."""
    options = {"SLUICE_STORAGE_OPTIONS": "endpoint=http://127.0.0.1:9000"}
    settings = load_settings(options)
    assert settings.bucket_options == {"endpoint": "http://127.0.0.1:9000"}
    with pytest.raises(UsageError, match="is of no use when SLUICE_STORAGE_URL is a directory"):
        load_settings(options, serves=True)


def test_a_missing_account_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(UsageError, match="SLUICE_STORAGE_OPTIONS: can't be used: Account must"):
        load(STORAGE_URL="az://container")
    load(STORAGE_URL="az://container", STORAGE_OPTIONS="account_name=a")
