"""The wheel ``sluice-client``, built as ``make client`` builds it."""

import subprocess
import sys
from pathlib import Path

WHEEL_SOURCE = Path(__file__).parents[2] / "sluice_client" / "wheel"


def build_client_wheel(directory: Path) -> Path:
    """The wheel's path, below ``directory``."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
        cwd=WHEEL_SOURCE,
        check=True,
        capture_output=True,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel
