"""Why a token is refused.

AccessError
    TokenRefused       it is nobody's; the message says why, and shows nothing of it
    IssuerUnavailable  it can't be judged, as the issuer's keys can't be had; the log says why
        FetchCrowded   likewise, as enough tokens of unknown keys wait for the next fetch of them
"""


class AccessError(Exception):
    """A token is refused."""


class TokenRefused(AccessError):  # noqa: N818 - an answer rather than a fault
    """The token is invalid."""


class IssuerUnavailable(AccessError):  # noqa: N818 - likewise
    """The issuer's keys are unavailable at the moment."""


class FetchCrowded(IssuerUnavailable):
    """The key is unknown, and as many tokens as may wait for the next fetch are waiting."""
