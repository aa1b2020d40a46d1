"""Where the fonts are that contenders for PDF are given. Nothing is imported but their places."""

from importlib.util import find_spec
from pathlib import Path

import ttf_opensans

OPEN_SANS = Path(ttf_opensans.OPENSANS_REGULAR.path)


def cjk_font() -> Path:
    """IPAexGothic, of the package matplotlib-fontja, which would import matplotlib itself.

    Raises FileNotFoundError without that package.
    """
    found = find_spec("matplotlib_fontja")
    if not found or not found.origin:
        raise FileNotFoundError("matplotlib-fontja is missing; make bench installs it")
    return Path(found.origin).with_name("fonts") / "ipaexg.ttf"
