"""The ``options`` of a request: a model for each format.

``OPTIONS`` is the single source of which format has which options; the request's schema, its checks
and ``sluice submit`` use it. Invariant: an option of one format is refused for any other that lacks
it.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from schemas.formulas import is_formula
from schemas.limits import (
    MOST_ELEMENT_NAME_CHARACTERS,
    MOST_FOOTER_CHARACTERS,
    MOST_NULL_CHARACTERS,
    MOST_TIME_ZONE_CHARACTERS,
)
from schemas.sheets import MOST_SHEET_NAME_CHARACTERS, is_sheet_name
from schemas.strict import FLAT, Strict
from schemas.time_zones import is_time_zone
from schemas.vocabulary import Compression, Format
from schemas.xml_names import is_element_name


class TextOptions(Strict):
    """Options of every text format: compression of the whole file."""

    compression: Annotated[Compression, Field(strict=False), FLAT] = Compression.NONE


class CsvOptions(TextOptions):
    """How a CSV is written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    header: bool = True
    bom: bool = False
    line_ending: Literal["crlf", "lf"] = "crlf"
    escape_formulas: bool = True
    null: Annotated[str, Field(max_length=MOST_NULL_CHARACTERS)] = ""  # after what it depends on
    decimal_separator: Literal[".", ","] = "."
    quote: Literal["minimal", "all"] = "minimal"

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, delimiter: str) -> str:
        if delimiter in '"\r\n':
            raise ValueError("must not be a quote or a line break")
        return delimiter

    @field_validator("decimal_separator")
    @classmethod
    def _tells_cells_apart(cls, separator: str, info: ValidationInfo) -> str:
        # An invalid field is missing from ``data``.
        if separator == info.data.get("delimiter"):
            raise ValueError("must not be the delimiter: give another one of the two")
        return separator

    @field_validator("null")
    @classmethod
    def _is_never_run(cls, null: str, info: ValidationInfo) -> str:
        if info.data.get("escape_formulas", True) and is_formula(null):
            raise ValueError("must not begin as a formula while escape_formulas is on")
        return null


class JsonOptions(TextOptions):
    """JSON and NDJSON have no options of their own."""


class XmlOptions(TextOptions):
    """How XML is written; ``root`` and ``row`` name elements."""

    root: Annotated[str, Field(max_length=MOST_ELEMENT_NAME_CHARACTERS)] = "rows"
    row: Annotated[str, Field(max_length=MOST_ELEMENT_NAME_CHARACTERS)] = "row"
    null: Literal["absent", "nil"] = "absent"

    @field_validator("root", "row")
    @classmethod
    def _names_an_element(cls, name: str) -> str:
        if not is_element_name(name):
            raise ValueError("must be a name of XML, without a colon, that doesn't begin with xml")
        return name


class PdfOptions(Strict):
    """How a PDF is laid out."""

    page_size: Literal["A3", "A4", "A5", "letter", "legal"] = "A4"
    orientation: Literal["auto", "portrait", "landscape"] = "auto"
    records_per_page: Annotated[int, Field(ge=1, le=1_000)] = 50
    overflow: Literal["cut", "wrap"] = "cut"
    footer: Annotated[str, Field(max_length=MOST_FOOTER_CHARACTERS)] = ""
    timezone: Annotated[str, Field(max_length=MOST_TIME_ZONE_CHARACTERS)] = "UTC"

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if not is_time_zone(name):
            raise ValueError("must be an IANA name of a time zone, such as Europe/Istanbul")
        return name


class XlsxOptions(Strict):
    """How a workbook is made. An empty ``sheet`` is the title, made valid, or ``Export``."""

    header: bool = True
    sheet: Annotated[str, Field(max_length=MOST_SHEET_NAME_CHARACTERS)] = ""

    @field_validator("sheet")
    @classmethod
    def _can_name(cls, sheet: str) -> str:
        if sheet and not is_sheet_name(sheet):
            raise ValueError(
                "must be a name that Excel takes: at most 31 characters in UTF-16, none of []:*?/\\"
                " and no control characters, no ' at either end, not blank and not History"
            )
        return sheet


Options: TypeAlias = CsvOptions | PdfOptions | XlsxOptions | JsonOptions | XmlOptions
OPTIONS: Final[dict[Format, type[Options]]] = {
    Format.CSV: CsvOptions,
    Format.PDF: PdfOptions,
    Format.XLSX: XlsxOptions,
    Format.NDJSON: JsonOptions,
    Format.JSON: JsonOptions,
    Format.XML: XmlOptions,
}


def option_names() -> frozenset[str]:
    """The options of all formats."""
    return frozenset(name for model in OPTIONS.values() for name in model.model_fields)
