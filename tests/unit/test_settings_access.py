"""Settings of who may do what: tokens, their file, an issuer, and a node's own key."""

from pathlib import Path

import pytest

from sluice.errors import UsageError
from sluice.settings import load_settings
from tests.support.settings import load, refused


def test_tokens_name_users() -> None:
    assert load(API_TOKENS="t1:alice, t2:bob:2").users_by_token == {"t1": "alice", "t2": "bob:2"}
    assert load().users_by_token == {}


def test_the_token_file_is_read_as_the_settings_are(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    name = "SLUICE_API_TOKENS_FILE"
    line = refused(API_TOKENS_FILE=str(file), PARTITIONS="x")
    assert f"{name}: {file} can't be read: No such file or directory" in line
    assert "SLUICE_PARTITIONS" in line
    file.write_text(f"{'0' * 64}:alice:user\nsecret\n")
    words = "line 2: is not of the form sha256-of-token:user:role"
    assert refused(API_TOKENS_FILE=str(file)) == f"{name}: {file}: {words}"
    file.write_text("")
    assert load(API_TOKENS_FILE=str(file)).api_tokens_file == file


def test_only_a_node_looks_at_the_files_of_its_http_side(tmp_path: Path) -> None:
    names = ("API_TOKENS_FILE", "HTTP_CERTFILE", "HTTP_KEYFILE")
    environment = {f"SLUICE_{name}": str(tmp_path / name) for name in names}
    assert load_settings(environment).http_certfile == tmp_path / "HTTP_CERTFILE"
    with pytest.raises(UsageError) as caught:
        load_settings(environment, serves=True)
    assert all(f"SLUICE_{name}: " in str(caught.value) for name in names[:2])
    (tmp_path / "API_TOKENS_FILE").write_text("junk")
    assert load_settings(environment)


ISSUER_WORDS = "must be an https:// URL, without a query; http:// on loopback only"


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.org",
        "id.example.org",
        "file:///keys",
        "https://",
        "https://id.example.org/?a=b",
        "https://me:word@id.example.org",
        "https://id.example.org:x",
        "https://id example.org",
    ],
)
def test_an_issuer_is_reached_safely(url: str) -> None:
    assert refused(OIDC_ISSUER=url, OIDC_AUDIENCE="a") == f"SLUICE_OIDC_ISSUER: {ISSUER_WORDS}"


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.org/realms/a/",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:1",
    ],
)
def test_an_issuer_needs_an_audience(url: str) -> None:
    words = "must be set with SLUICE_OIDC_ISSUER: who its tokens are for"
    assert refused(OIDC_ISSUER=url) == f"SLUICE_OIDC_AUDIENCE: {words}"
    assert load(OIDC_ISSUER=url, OIDC_AUDIENCE="a").oidc_issuer == url


def test_without_an_issuer_the_rest_is_of_no_use() -> None:
    names = ("OIDC_AUDIENCE", "OIDC_USER_CLAIM", "OIDC_ROLE_CLAIM")
    lines = [f"SLUICE_{name}: is of no use without SLUICE_OIDC_ISSUER" for name in names]
    assert refused(**dict.fromkeys(names, "a")) == "; ".join(lines)
