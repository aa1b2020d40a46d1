"""Settings: environment variables ``SLUICE_*``, read once, checked together.

Every field is documented in ``docs/contract.md``; a test holds the two together. No other module
reads the environment.
"""

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.topics import Topics
from sluice.errors import UsageError

PREFIX = "SLUICE_"
# Tests use the first; Kubernetes injects the others for a service named sluice.
_NOT_SETTINGS = re.compile(r"SLUICE_(TEST_.*|PORT(_.*)?|SERVICE_.*)")
_TOPIC_NAME = r"^[A-Za-z0-9._-]{1,200}$"
_MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]
TopicPrefix = Annotated[str, Field(pattern=_TOPIC_NAME)]


class Settings(BaseModel):
    """All settings, with their defaults. An empty variable counts as not set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    group_id: Annotated[str, Field(min_length=1)] = "sluice"
    group_instance_id: str | None = None
    topic_prefix: TopicPrefix = "export"
    output_prefix: TopicPrefix | None = None
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    replication_factor: Annotated[int, Field(ge=1, le=32)] = 1
    storage_url: Annotated[str, Field(min_length=1)] = "./exports"
    http_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 4001
    max_concurrency: Annotated[int, Field(ge=1, le=5)] = 5
    max_open_exports: Annotated[int, Field(ge=1, le=800)] = 800
    queue_limit: Count = 100
    max_body_bytes: Bytes = 64 * _MIB
    max_export_bytes: Bytes = 10 * 1024 * _MIB
    idle_timeout_seconds: Seconds = 300
    storage_timeout_seconds: Seconds = 300
    session_timeout_seconds: Annotated[float, Field(ge=1, le=1_800)] = 10
    drain_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 5
    api_tokens: Annotated[str, Field(repr=False)] = ""
    pdf_fonts: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: Annotated[str | None, Field(repr=False)] = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, url: str) -> str:
        scheme = urlsplit(url).scheme
        if scheme == "s3":
            raise ValueError("s3:// is not supported yet; use a path or file:///path")
        if "://" in url and scheme != "file":
            raise ValueError("must be a path or file:///path")
        if scheme == "file" and urlsplit(url).netloc not in {"", "localhost"}:
            raise ValueError("must have three slashes: file:///path")
        return url

    @field_validator("log_level", "security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _any_case(cls, given: str, info: Any) -> str:  # noqa: ANN401 - pydantic's own
        return given.lower() if info.field_name == "log_level" else given.upper()

    @field_validator("pdf_fonts")
    @classmethod
    def _fonts_exist(cls, fonts: str) -> str:
        missing = [name for name in fonts.split(os.pathsep) if name and not Path(name).is_file()]
        if missing:
            raise ValueError(f"no such file: {', '.join(missing)}")
        return fonts

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile")
    @classmethod
    def _file_exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"no such file: {path}")
        return path

    @field_validator("api_tokens")
    @classmethod
    def _token_pairs(cls, pairs: str) -> str:
        for number, pair in enumerate(filter(None, pairs.split(",")), start=1):
            token, colon, user = pair.strip().partition(":")
            if not (token and colon and user):
                raise ValueError(f"entry {number} is not of the form token:user")
        return pairs

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"SLUICE_SECURITY_PROTOCOL={self.security_protocol} needs "
                "SLUICE_SASL_USERNAME and SLUICE_SASL_PASSWORD"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("SLUICE_SSL_KEYFILE needs SLUICE_SSL_CERTFILE")
        if self.drain_timeout_seconds >= 600 or self.session_timeout_seconds < 1:
            raise ValueError("timeouts out of range")
        return self

    @property
    def topics(self) -> Topics:
        """The names of the four topics."""
        return Topics.named(self.topic_prefix, self.output_prefix)

    @property
    def storage_directory(self) -> Path:
        """Where files go, absolute."""
        url = urlsplit(self.storage_url)
        path = unquote(url.path) if url.scheme == "file" else self.storage_url
        return Path(path).absolute()

    @property
    def pdf_font_files(self) -> tuple[Path, ...]:
        """Further fonts for PDF, in the order in which they are asked for a glyph."""
        return tuple(Path(name) for name in self.pdf_fonts.split(os.pathsep) if name)

    def client_options(self) -> dict[str, Any]:
        """How every Kafka client connects: keyword arguments for aiokafka's classes."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except (ssl.SSLError, OSError) as error:
            raise UsageError(f"SLUICE_SSL_*: a certificate or key can't be read: {error}") from None
        return context


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        UsageError: one line with every wrong setting by name.
    """
    given = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not _NOT_SETTINGS.fullmatch(name)
    }
    known = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}
    wrong = [f"{name}: is not a setting" for name in sorted(given.keys() - known.keys())]
    values = {field: given[name] for name, field in known.items() if given.get(name)}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        wrong += [_in_words(finding["loc"], finding["msg"]) for finding in error.errors()]
    if wrong:
        raise UsageError("; ".join(wrong))
    return settings


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Input should", "must")
    return f"{PREFIX}{str(location[0]).upper()}: {message}" if location else message
