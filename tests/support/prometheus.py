"""A real Prometheus, where the Debian package of that name is installed; else tests skip."""

import asyncio
import json
import math
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from broker.ports import pick_free_port
from tests.support.clients import http_client
from tests.support.npm import require_tool

RULES = Path(__file__).parents[2] / "rules" / "export.yml"
_START_SECONDS = 30.0


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; the test skips where it is missing."""
    require_tool("promtool")
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


class Prometheus:
    """Asks a Prometheus that runs."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query: labels and value; without those that are no number."""
        answer = (await self._get("query", query=expression))["result"]
        series = [{**one["metric"], "value": float(one["value"][1])} for one in answer]
        return [one for one in series if not math.isnan(one["value"])]

    async def rules(self) -> list[dict[str, Any]]:
        """The rules it has loaded, with their expressions, their health and their alerts."""
        return [rule for group in (await self._get("rules"))["groups"] for rule in group["rules"]]

    async def until(self, expression: str, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The result of a query, once there is one."""
        deadline = time.monotonic() + seconds
        while not (found := await self.query(expression)):
            assert time.monotonic() < deadline, f"nothing for {expression}"
            await asyncio.sleep(0.2)
        return found

    async def _get(self, what: str, **parameters: str) -> Any:
        answer = await self._client.get(f"{self._url}/api/v1/{what}", params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]


@asynccontextmanager
async def prometheus_of(targets: Iterable[str], directory: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus with our rules that scrapes these ``host:port`` each second, as job sluice."""
    require_tool("prometheus")
    port, config = pick_free_port(), directory / "prometheus.json"
    scrape = {"job_name": "sluice", "static_configs": [{"targets": list(targets)}]}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    # JSON is YAML too.
    config.write_text(
        json.dumps({"global": every, "rule_files": [str(RULES)], "scrape_configs": [scrape]})
    )
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'series'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        async with http_client() as client:
            url = f"http://127.0.0.1:{port}"
            await _ready(process, client, url)
            yield Prometheus(url, client)
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


async def _ready(process: subprocess.Popen[bytes], client: httpx.AsyncClient, url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if (await client.get(f"{url}/-/ready")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, "it has ended; see prometheus.log"
        assert time.monotonic() < deadline, "it is not ready; see prometheus.log"
        await asyncio.sleep(0.1)
