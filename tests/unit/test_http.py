"""The HTTP server: a real one on a real socket, and a real client."""

import asyncio

import httpx
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.vocabulary import Format
from sluice.http.exposition import expose
from tests.support.http import World
from tests.support.serving import assert_problem

# Metrics


def parse_openmetrics(text: str) -> list[Metric]:
    # The library's strict parser has no types.
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", ["/metrics", "/export/metrics"])
async def test_metrics_are_prometheus_text(
    client: httpx.AsyncClient, world: World, path: str
) -> None:
    world.metrics.duplicate(Format.CSV, "älice")
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4; charset=utf-8")
    samples = [one for family in parse_text(answer.text) for one in family.samples]
    (requests,) = [one for one in samples if one.name == "export_requests_total"]
    assert requests.labels == {"format": "csv", "status": "duplicate", "user": "älice"}
    assert requests.value == 1


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_3 = (
    f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize("path", ["/metrics", "/export/metrics"])
async def test_metrics_are_openmetrics_for_who_asks(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": f"{OPENMETRICS}; version=1.0.0"})
    content_type = answer.headers["content-type"]
    assert content_type.startswith(f"{OPENMETRICS}; version=1.0.0; charset=utf-8")
    assert answer.text.endswith("# EOF\n")
    assert "export_fail" in [family.name for family in parse_openmetrics(answer.text)]


@pytest.mark.parametrize(
    ("accept", "strict"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", False),
        (OPENMETRICS, True),
        (f"{OPENMETRICS};version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2", True),
        (f"text/plain;version=0.0.4;q=0.2, {OPENMETRICS} ; Q=0.5", True),
        (f"{OPENMETRICS};q=0.1,text/plain", False),
        (f"{OPENMETRICS};q=0", False),
        (f"{OPENMETRICS};version=0.0.1,text/plain;version=0.0.4;q=0.5", False),
        (f"{OPENMETRICS};version=abc", False),
        (f"{OPENMETRICS};q=abc", False),
        (PROMETHEUS_3, True),
        (";;=,,", False),
    ],
)
def test_the_format_goes_by_what_is_preferred(world: World, accept: str, strict: bool) -> None:
    text, content_type = expose(world.metrics.registry, accept)
    assert content_type.startswith(OPENMETRICS if strict else "text/plain; version=0.0.4")
    assert text.endswith(b"# EOF\n") == strict


# Health and status


async def test_alive_is_alive_whatever_is_wrong(client: httpx.AsyncClient, world: World) -> None:
    world.wrong.append("no Kafka broker answers")
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_says_why_not(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ready": True, "problems": [], "encoders": "python"},
    )
    world.wrong = ["no Kafka broker answers", "partition 3: its records are another node's"]
    problem = assert_problem(await client.get("/ready"), 503, "the node is not ready")
    assert problem["ready"] is False
    assert problem["problems"] == world.wrong


async def test_ready_answers_even_if_the_checks_do_not(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> list[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(world, "problems", hang)
    monkeypatch.setattr("sluice.http.app._READY_SECONDS", 0.05)  # nobody has ten seconds here
    problem = assert_problem(await client.get("/ready"), 503, "the node is not ready")
    assert problem["problems"] == ["the node's checks take longer than 0.05 s"]


async def test_status_is_what_the_node_says(client: httpx.AsyncClient) -> None:
    answer = await client.get("/export/status")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "running": 2,
        "queued": 3,
        "open_exports": 5,
        "assigned_partitions": [0, 4, 11],
        "lag": 17,
        "partition_lag": {"0": 5, "4": 12, "11": 0},
        "capacity": 5,
    }


# Errors


async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/redoc", "/health/", "/export/status/", "/export/download/a/b"):
        assert_problem(await client.get(path), 404, f"there is nothing at {path}")
    assert_problem(await client.get("/%ff%0A"), 404, "there is nothing at /\ufffd\n")


async def test_a_wrong_method_is_a_problem_that_names_the_right_one(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/export/status")
    assert_problem(answer, 405, "POST is not allowed at /export/status")
    assert answer.headers["allow"] == "DELETE, GET"  # an export may have the id "status"
    answer = await client.put("/export/download/a")
    assert answer.headers["allow"] == "GET, HEAD"
    answer = await client.put("/export/a")
    assert answer.headers["allow"] == "DELETE"


async def test_nonsense_in_the_host_header_changes_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing", headers={"Host": "[::"})
    assert_problem(answer, 404, "there is nothing at /nothing")


async def test_an_unforeseen_error_tells_the_log_and_not_the_client(
    client: httpx.AsyncClient, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.broken = True
    answer = await client.get("/export/status")
    assert_problem(answer, 500, "an unexpected error; see the node's log")
    assert "secret" not in answer.text
    assert "RuntimeError: the secret of the inside" in caplog.text
    world.broken = False
    assert (await client.get("/export/status")).status_code == 200
