"""Values of options and of the provider's variables that the client library takes as they are.

It doesn't check them: at an address without a scheme, or a line break at the end of a key, it
panics in whichever thread makes its first request. Pure. Invariant: no message shows a value.
"""

import re
from collections.abc import Mapping

ENDPOINTS = {"endpoint", "endpoint_url", "aws_endpoint", "aws_endpoint_url", "aws_endpoint_url_s3"}
"""Options of S3; the first is one of Azure, too."""
_REGIONS = {"region", "aws_region", "default_region", "aws_default_region"}
_ADDRESS = re.compile(
    r"(?:.*_)?(?:endpoint(?:_url(?:_[a-z0-9]+)?)?|base_url|authority_host|full_uri|service_url)"
)
_NO_ADDRESSES = {"use_fabric_endpoint", "azure_use_fabric_endpoint"}
_VARIABLES = {
    "s3": {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_METADATA_ENDPOINT",
        *(name.upper() for name in ENDPOINTS | _REGIONS if name.startswith("aws_")),
    },
    "az": {
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_AUTHORITY_HOST",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
    },
    # A key may be given whole, in lines; what is wrong with it shows when it is read.
    "gs": set[str](),
}
_HTTP_URL = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?(?:/[A-Za-z0-9._~/%-]*)?"
)
_REGION = re.compile("[A-Za-z0-9-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def variables_of(scheme: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables of a provider that the library reads and doesn't check; by their names."""
    read = _VARIABLES[scheme]
    return {name: value for name, value in environment.items() if value and name in read}


def check_values(values: Mapping[str, str]) -> None:
    """Do nothing if the library can work with these, by the names of options or variables.

    Raises:
        ValueError: it can't; the message names one.
    """
    for name, value in values.items():
        if _CONTROL.search(value):
            raise ValueError(f"{name} holds a line break or another control character")
        if _is_address(name.lower()) and not _is_http_url(value):
            raise ValueError(f"{name} must be http://host or https://host, with a port if need be")
        if name.lower() in _REGIONS and not _REGION.fullmatch(value):
            raise ValueError(f"{name} must be the name of a region, such as eu-central-1")


def _is_address(name: str) -> bool:
    return _ADDRESS.fullmatch(name) is not None and name not in _NO_ADDRESSES


def _is_http_url(text: str) -> bool:
    match = _HTTP_URL.fullmatch(text)
    return match is not None and int(match[1] or 1) <= 65_535
