"""The requests topic: ``export.requested`` and ``export.cancel_requested``.

Strict models only: a field that the contract doesn't name is an error, never ignored.
"""

import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.errors import shown
from schemas.file_names import extension
from schemas.limits import (
    MOST_COLUMNS,
    MOST_NAME_CHARACTERS,
    MOST_RETENTION_SECONDS,
    MOST_USER_CHARACTERS,
)
from schemas.options import OPTIONS, Options, TextOptions, option_names
from schemas.strict import FLAT, Strict, require_few_fields
from schemas.times import Timestamp
from schemas.vocabulary import EXPORT_ID, ColumnType, Compression, Format

NO_CONTROLS = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
"""Text without control characters and separators of lines, as a regular expression."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MOST_CANCEL_CHARACTERS = 500
"""Of a cancellation's message, which goes into the terminal event."""

ExportId = Annotated[str, Field(pattern=f"^{EXPORT_ID}$")]


def is_user(text: str) -> bool:
    """Whether a text may be a user's name, which appears in metric labels and log lines."""
    return 0 < len(text) <= MOST_USER_CHARACTERS and _CONTROL.search(text) is None


class Column(Strict):
    """One column. ``header`` defaults to ``key``; ``width``, in points, and ``align`` are for PDF.

    Without a ``type`` a cell is the JSON value that it is; see ``schemas.column_types``.
    """

    key: Annotated[str, Field(max_length=MOST_NAME_CHARACTERS)]
    header: Annotated[str, Field(max_length=MOST_NAME_CHARACTERS)] = ""
    width: Annotated[float, Field(gt=0, le=14_400, allow_inf_nan=False)] | None = None
    type: Annotated[ColumnType, Field(strict=False), FLAT] | None = None
    align: Literal["left", "right", "center"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_header(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was sent
        if isinstance(given, str):
            given = {"key": given}
        if not isinstance(given, dict | Column):
            raise ValueError("must be a string or an object")  # noqa: TRY004 - pydantic's protocol
        require_few_fields(given)
        if isinstance(given, dict) and "header" not in given and isinstance(given.get("key"), str):
            given = {**given, "header": given["key"]}
        return given


def _default_options(fields: dict[str, Any]) -> Options:
    return OPTIONS[fields.get("format", Format.CSV)]()


class ExportRequested(Strict):
    """``export.requested``: what file is wanted. Its batches follow on the records topic.

    ``requested_at`` is None if not sent; the record's Kafka timestamp then replaces it.
    ``retry_of`` is the export that this one retries; ``expires_in_seconds`` counts from completion.
    ``options`` is an instance of the format's class.
    """

    type: Literal["export.requested"] = "export.requested"
    export_id: ExportId
    format: Annotated[Format, Field(strict=False), FLAT]
    columns: Annotated[
        tuple[Column, ...], Field(min_length=1, max_length=MOST_COLUMNS, strict=False)
    ]
    title: Annotated[str, Field(max_length=MOST_NAME_CHARACTERS)] | None = None
    user: Annotated[str, Field(min_length=1, max_length=MOST_USER_CHARACTERS)] = "anonymous"
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    requested_at: Timestamp | None = None
    expires_in_seconds: Annotated[int, Field(ge=1, le=MOST_RETENTION_SECONDS)] | None = None
    retry_of: ExportId | None = None
    options: Options = Field(default_factory=_default_options)

    @property
    def compression(self) -> Compression:
        """How its file is compressed."""
        options = self.options
        return options.compression if isinstance(options, TextOptions) else Compression.NONE

    @property
    def heading(self) -> str:
        """The title shown in the file; a retry's file has the original's."""
        return self.title or self.retry_of or self.export_id

    @property
    def extension(self) -> str:
        """Its file name's extension, such as ``csv`` or ``csv.gz``."""
        return extension(self.format, self.compression)

    @field_validator("format", mode="before")
    @classmethod
    def _not_later(cls, given: object) -> object:
        if given == "parquet":
            raise ValueError("must be another one: parquet comes in a later release")
        return given

    @field_validator("format")
    @classmethod
    def _not_named_as_a_manifest(cls, file_format: Format, info: ValidationInfo) -> Format:
        """The JSON file of ``a.manifest`` would have the name of the manifest of ``a``."""
        export_id = str(info.data.get("export_id", "")).lower()
        if file_format is Format.JSON and export_id.endswith(".manifest"):
            raise ValueError("must not be json for an export_id that ends in .manifest")
        return file_format

    @field_validator("user")
    @classmethod
    def _no_controls(cls, user: str) -> str:
        if not is_user(user):
            raise ValueError("must not hold control characters")
        return user

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was sent
        require_few_fields(given)
        return given

    @field_validator("columns", mode="before")
    @classmethod
    def _few_columns(cls, given: object) -> object:
        """Count first: each invalid column is an error of its own and isn't counted later."""
        if isinstance(given, list | tuple) and len(given) > MOST_COLUMNS:
            raise ValueError(f"must have at most {MOST_COLUMNS} items")
        return given

    @field_validator("columns")
    @classmethod
    def _unique_keys(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        times = Counter(column.key for column in columns)
        repeated = ", ".join(shown(key) for key in times if times[key] > 1)
        if repeated:
            raise ValueError(f"must have unique keys; more than once: {repeated}")
        return columns

    @field_validator("options", mode="before")
    @classmethod
    def _options_of_format(cls, given: object, info: ValidationInfo) -> object:
        require_few_fields(given)
        model = OPTIONS[info.data.get("format", Format.CSV)]
        if "format" not in info.data:
            # If the format is invalid, only options of no format are certainly wrong.
            unknown = sorted(given.keys() - option_names()) if isinstance(given, dict) else []
            if unknown:
                raise ValueError(f"{shown(unknown[0])} is not an option of any format")
            return model()
        return model.model_validate(given)


class CancelRequested(Strict):
    """``export.cancel_requested``: the sender no longer wants the export, and may say why."""

    type: Literal["export.cancel_requested"] = "export.cancel_requested"
    export_id: ExportId
    message: Annotated[str, Field(min_length=1, max_length=MOST_CANCEL_CHARACTERS)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was sent
        require_few_fields(given)
        return given
