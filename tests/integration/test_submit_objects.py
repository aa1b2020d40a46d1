"""`sluice submit` of an object in a real S3 store, on a real Kafka."""

import io
import json
from collections.abc import Callable

import obstore
import openpyxl
import pytest

from schemas.topics import Topics
from tests.support.object_stores import Bucket
from tests.support.outcomes import requests_of, rows_of
from tests.support.shell import Shell

pytestmark = pytest.mark.kafka

# More than is fetched at a time.
ROWS = [[str(number), f"ş{number}" * 50] for number in range(12_000)]


@pytest.fixture
def on_store(shell: Shell, bucket: Bucket) -> Shell:
    """A shell that has the store's endpoint and credentials."""
    return Shell(shell.environment | bucket.environment("files"), shell.directory)


def workbook() -> bytes:
    """The rows as openpyxl writes them."""
    book, file = openpyxl.Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet("A")
    for row in [["id", "note"], *ROWS]:
        sheet.append(row)
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("key", "content", "arguments"),
    [
        ("orders.csv", lambda: "id,note\n" + "".join(f"{a},{b}\n" for a, b in ROWS), []),
        (
            "deep/a & ö/orders.ndjson",
            lambda: "".join(json.dumps({"id": a, "note": b}) + "\n" for a, b in ROWS),
            [],
        ),
        ("orders", lambda: json.dumps(ROWS), ["--input-format", "json", "--columns", "id,note"]),
        ("orders.xlsx", workbook, []),
    ],
    ids=["csv", "ndjson", "json", "xlsx"],
)
async def test_an_objects_rows_are_published(
    bootstrap_servers: str,
    topics: Topics,
    on_store: Shell,
    bucket: Bucket,
    key: str,
    content: Callable[[], str | bytes],
    arguments: list[str],
) -> None:
    held = content()
    obstore.put(bucket.client(), key, held.encode() if isinstance(held, str) else held)
    done = on_store.run("submit", f"{bucket.url}/{key}", "--format", "csv", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    (request,) = await requests_of(bootstrap_servers, topics)
    assert [column.key for column in request.columns] == ["id", "note"]
    assert await rows_of(bootstrap_servers, topics, request.export_id) == ROWS


async def test_what_is_wrong_with_an_object_is_one_line_and_nothing_is_published(
    bootstrap_servers: str, topics: Topics, on_store: Shell, bucket: Bucket
) -> None:
    url = f"{bucket.url}/orders.csv"
    given = ("--format", "csv")
    missing = on_store.fails("submit", url, *given)
    assert missing == f"{url}: there is no such object, or no such bucket"
    stranger = Shell(on_store.environment | {"AWS_ACCESS_KEY_ID": "nobody"}, on_store.directory)
    forbidden = stranger.fails("submit", url, *given)
    assert forbidden == f"{url}: can't be read: 403 Forbidden"
    nobody = on_store.fails(
        "submit", url, *given, SLUICE_STORAGE_OPTIONS="endpoint=http://127.0.0.1:1"
    )
    assert nobody == f"{url}: can't be read: no connection can be made"
    assert not await requests_of(bootstrap_servers, topics)
