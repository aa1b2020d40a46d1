"""How the embedded object store is configured; which names and credentials it takes."""

from pathlib import Path

import pytest

from broker.credentials import Credentials
from broker.errors import ServerError
from broker.store import require_bucket_name
from broker.store_config import store_properties


def test_it_listens_on_the_loopback_only_and_asks_for_a_signature() -> None:
    credentials = Credentials("id", "secret")
    properties = store_properties(1234, Path("/buckets"), credentials)
    assert properties["s3proxy.endpoint"] == "http://127.0.0.1:1234"
    assert properties["s3proxy.authorization"] == "aws-v2-or-v4"
    assert (properties["s3proxy.identity"], properties["s3proxy.credential"]) == ("id", "secret")


def test_credentials_are_by_chance_and_read_back_as_they_were(tmp_path: Path) -> None:
    made = Credentials.random()
    assert made != Credentials.random()
    (tmp_path / "file").write_text(made.as_json())
    assert Credentials.read(tmp_path / "file") == made
    assert Credentials.read(tmp_path / "none") is None
    assert made.secret_access_key not in repr(made)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '{"access_key_id": "a"}',
        '{"access_key_id": "a", "secret_access_key": 5}',
        '{"access_key_id": "a", "secret_access_key": ""}',
        '{"access_key_id": "a", "secret_access_key": "hidden\\nhidden"}',
        '{"access_key_id": "ş", "secret_access_key": "hidden"}',
        '{"access_key_id": "a b", "secret_access_key": "hidden"}',
    ],
)
def test_what_are_no_credentials_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text, "utf-8")
    with pytest.raises(
        ServerError, match=f"^{tmp_path}/file has to hold one JSON object"
    ) as refused:
        Credentials.read(tmp_path / "file")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("name", ["abc", "a.b-c", "1a2", "a" * 63, "192.168.0.1a"])
def test_a_bucket_has_a_name_that_s3_takes(name: str) -> None:
    require_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "ab", "A" * 3, "-ab", "ab.", "a" * 64, "192.168.0.1", "a..b", "a/b", "a_b", "abc\n"],
)
def test_another_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ServerError) as refused:
        require_bucket_name(name)
    assert "\n" not in str(refused.value)
