"""Settings: environment variables ``SLUICE_*``, read once, checked together.

Every field is documented in ``docs/contract.md``. No other module reads these variables. Invariant:
one error line names every invalid setting, so checks across settings report each field too.
"""

import difflib
import os
import re
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from consumer.storage.objects.urls import is_object_url, parse_options
from schemas.topics import Topics
from sluice.access.token_file import parse_tokens, read_tokens
from sluice.errors import UsageError
from sluice.findings import in_words
from sluice.links import LinkKeys, parse_keys
from sluice.locations import base_url, local_path
from sluice.setting_types import (
    AbsolutePath,
    Claim,
    IssuerUrl,
    KafkaName,
    Keys,
    Positive,
    ReadableFile,
    ReadableFiles,
    RetentionSeconds,
    Seconds,
    Servers,
    StorageUrl,
    TokenPairs,
    check_readable,
    parse_token_pairs,
    split_paths,
)

PREFIX = "SLUICE_"
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach them from here
# Tests use the first; Kubernetes injects the others for a service named sluice.
_NOT_SETTINGS = ("SLUICE_TEST_", "SLUICE_PORT", "SLUICE_SERVICE_")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # what undecodable bytes become
_MIB = 1024 * 1024
_SERVES = "serves"


_Lower = BeforeValidator(str.lower)
_Upper = BeforeValidator(str.upper)


class Settings(BaseModel):
    """All settings, with their defaults. An empty variable counts as not set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: Servers = "127.0.0.1:9092"
    group_id: Annotated[str, Field(min_length=1)] = "sluice"
    group_instance_id: KafkaName | None = None
    topic_prefix: KafkaName = "export"
    output_prefix: KafkaName | None = None
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    replication_factor: Annotated[int, Field(ge=1, le=32)] = 1
    storage_url: StorageUrl = "./exports"
    storage_options: Annotated[SecretStr | None, Field(validate_default=True)] = None
    scratch_dir: AbsolutePath | None = None
    retention_seconds: RetentionSeconds | None = None
    manifest_retention_seconds: RetentionSeconds | None = None
    http_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 4001
    http_certfile: Path | None = None
    http_keyfile: Annotated[Path | None, Field(validate_default=True)] = None
    public_url: Annotated[str, AfterValidator(base_url)] | None = None
    link_keys: Keys | None = None
    # The contract's ceilings: five slots a node, and as many open exports a partition as fit into
    # the metadata of a committed offset.
    max_concurrency: Annotated[int, Field(ge=1, le=5)] = 5
    max_open_exports: Annotated[int, Field(ge=1, le=800)] = 800
    queue_limit: Positive = 100
    user_queue_limit: Positive | None = None
    max_body_bytes: Positive = 64 * _MIB
    max_export_bytes: Positive = 10 * 1024 * _MIB
    # A broker takes a batch of up to 1 MiB by default, so a message of less is nothing to refuse.
    max_record_bytes: Annotated[int, Field(ge=_MIB, le=1024 * _MIB)] = 16 * _MIB
    idle_timeout_seconds: Seconds = 300
    storage_timeout_seconds: Seconds = 300
    session_timeout_seconds: Annotated[float, Field(ge=1, le=1_800, allow_inf_nan=False)] = 10
    drain_timeout_seconds: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 5
    api_tokens: TokenPairs | None = None
    api_tokens_file: Path | None = None
    oidc_issuer: IssuerUrl | None = None
    oidc_audience: Annotated[str | None, Field(validate_default=True)] = None
    oidc_user_claim: Claim = "sub"
    oidc_role_claim: Claim | None = None
    pdf_fonts: ReadableFiles = ""
    encoders: Annotated[Literal["auto", "python"], _Lower] = "auto"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _Lower] = "info"
    log_format: Annotated[Literal["auto", "console", "json"], _Lower] = "auto"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], _Upper
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], _Upper] = "PLAIN"
    sasl_username: Annotated[str | None, Field(validate_default=True)] = None
    sasl_password: Annotated[SecretStr | None, Field(validate_default=True)] = None
    ssl_cafile: ReadableFile | None = None
    ssl_certfile: ReadableFile | None = None
    ssl_keyfile: Annotated[ReadableFile | None, Field(validate_default=True)] = None

    @field_validator("storage_options")
    @classmethod
    def _fit_the_store(cls, options: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url, text = info.data.get("storage_url"), options.get_secret_value() if options else ""
        parsed = parse_options(text)
        if url is None:  # it is wrong itself
            return options
        if is_object_url(url):
            # It takes 40 ms to import, and most commands need none. It reads the provider's
            # variables, too: what is wrong with these shows here.
            from consumer.storage.objects.client import open_bucket  # noqa: PLC0415

            open_bucket(url, parsed)
        elif text and _serves(info):  # other commands reach objects by it, as submit and verify
            raise ValueError("is of no use when SLUICE_STORAGE_URL is a directory")
        return options

    @field_validator("api_tokens_file")
    @classmethod
    def _holds_tokens(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None or not _serves(info):
            return path
        try:
            parse_tokens(read_tokens(path))
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return path

    @field_validator("oidc_audience", "oidc_user_claim", "oidc_role_claim")
    @classmethod
    def _given_for_an_issuer(cls, given: str | None, info: ValidationInfo) -> str | None:
        if "oidc_issuer" not in info.data:  # it is wrong itself
            return given
        if given and not info.data["oidc_issuer"]:
            raise ValueError("is of no use without SLUICE_OIDC_ISSUER")
        if not given and info.data["oidc_issuer"]:
            # Otherwise a token that the issuer made for any other service would be accepted.
            raise ValueError("must be set with SLUICE_OIDC_ISSUER: who its tokens are for")
        return given

    @field_validator("sasl_username", "sasl_password")
    @classmethod
    def _given_for_sasl(
        cls, given: str | SecretStr | None, info: ValidationInfo
    ) -> str | SecretStr | None:
        protocol = info.data.get("security_protocol")  # absent if invalid itself
        if protocol and protocol.startswith("SASL") and not given:
            raise ValueError(f"must be set when SLUICE_SECURITY_PROTOCOL is {protocol}")
        # Refuse it if unused: a person who sets it expects a login.
        if protocol and not protocol.startswith("SASL") and given:
            raise ValueError(f"is of no use when SLUICE_SECURITY_PROTOCOL is {protocol}")
        return given

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile")
    @classmethod
    def _given_for_tls(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        protocol = info.data.get("security_protocol")
        if protocol and not protocol.endswith("SSL") and path:
            raise ValueError(f"is of no use when SLUICE_SECURITY_PROTOCOL is {protocol}")
        return path

    @field_validator("http_certfile", "http_keyfile")
    @classmethod
    def _readable_by_a_node(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return check_readable(path) if path and _serves(info) else path

    @field_validator("ssl_cafile", "ssl_certfile", "http_certfile")
    @classmethod
    def _holds_certificates(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if _is_unseen(info):
            return path
        try:
            ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            raise ValueError(f"{path} holds no certificate in PEM form") from None
        return path

    @field_validator("ssl_keyfile", "http_keyfile")
    @classmethod
    def _fits_certificate(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if _is_unseen(info):
            return path
        beside = str(info.field_name).replace("keyfile", "certfile")
        certificate = info.data.get(beside)
        if certificate is None:
            # An invalid certificate is absent here and has its own error.
            if path and beside in info.data:
                raise ValueError(f"must come with {PREFIX}{beside.upper()}")
            return path
        try:
            _ssl_context(None, certificate, path)
        except ssl.SSLError:
            holder = path or certificate
            raise ValueError(f"{holder} holds no unencrypted PEM key of {certificate}") from None
        return path

    @property
    def topics(self) -> Topics:
        """The names of the four topics."""
        return Topics.named(self.topic_prefix, self.output_prefix)

    @property
    def storage_directory(self) -> Path | None:
        """The absolute directory for files; None if they go into a bucket."""
        return None if is_object_url(self.storage_url) else local_path(self.storage_url).absolute()

    @property
    def bucket_options(self) -> Mapping[str, str]:
        """Options of the bucket's client; some may be secret."""
        return parse_options(
            self.storage_options.get_secret_value() if self.storage_options else ""
        )

    @property
    def manifests_kept(self) -> timedelta | None:
        """How long after their exports' ends manifests are kept; None: forever."""
        seconds = self.manifest_retention_seconds
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def pdf_font_files(self) -> tuple[Path, ...]:
        """Additional PDF fonts, in the order in which they are searched for a glyph."""
        return split_paths(self.pdf_fonts)

    @property
    def users_by_token(self) -> Mapping[str, str]:
        """Users by token of the HTTP interface; empty: no token is needed."""
        return parse_token_pairs(self.api_tokens.get_secret_value()) if self.api_tokens else {}

    @property
    def signing_keys(self) -> LinkKeys | None:
        """The keys that sign download links; None: links are disabled."""
        return LinkKeys(parse_keys(self.link_keys.get_secret_value())) if self.link_keys else None

    @property
    def node_url(self) -> str | None:
        """The URL at which this machine reaches the node; None if its port isn't fixed."""
        host = _WILDCARDS.get(self.http_host, self.http_host)
        host = f"[{host}]" if ":" in host else host
        scheme = "https" if self.http_certfile else "http"
        return f"{scheme}://{host}:{self.http_port}" if self.http_port else None

    def client_options(self) -> dict[str, Any]:
        """Connection options of every Kafka client: keyword arguments for aiokafka's classes."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL") and self.sasl_password:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = _ssl_context(
                self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile
            )
        return options


def load_settings(environment: Mapping[str, str] = os.environ, *, serves: bool = False) -> Settings:
    """Read the settings.

    ``serves``: for a node. Only then are the files of its HTTP interface checked: a user who runs
    another command need not be able to read its key and tokens.

    Raises:
        UsageError: one line with every wrong setting by name.
    """
    given = {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not name.startswith(_NOT_SETTINGS)
    }
    known = {f"{PREFIX}{field.upper()}": field for field in Settings.model_fields}
    garbled = {name for name, value in given.items() if _NOT_UTF8.search(value)}
    wrong = [_unknown(name) for name in sorted(given.keys() - known.keys())]
    wrong += [f"{name}: must be UTF-8" for name in sorted(garbled)]
    read = {name: value for name, value in given.items() if value and name not in garbled}
    try:
        settings = Settings.model_validate(
            {field: read[name] for name, field in known.items() if name in read},
            context={_SERVES: serves},
        )
    except ValidationError as error:
        wrong += map(_in_words, error.errors(include_url=False))
    if wrong:
        raise UsageError("; ".join(wrong))
    return settings


def _serves(info: ValidationInfo) -> bool:
    return bool((info.context or {}).get(_SERVES))


def _is_unseen(info: ValidationInfo) -> bool:
    """Whether this is a file of the HTTP interface, and no node will start."""
    return str(info.field_name).startswith("http_") and not _serves(info)


def _ssl_context(
    ca_file: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if certificate:
        # With a password of its own, however wrong, OpenSSL doesn't ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    return context


def _unknown(name: str) -> str:
    field = name.removeprefix(PREFIX).lower()
    near = difflib.get_close_matches(field, Settings.model_fields, n=1, cutoff=0.75)
    meant = f" (did you mean {PREFIX}{near[0].upper()}?)" if near else ""
    return f"{name}: is not a setting{meant}"


def _in_words(finding: ErrorDetails) -> str:
    return f"{PREFIX}{str(finding['loc'][0]).upper()}: {in_words(finding)}"
