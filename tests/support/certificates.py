"""Certificates made for a test by the ``openssl`` command: an authority, and what it signs."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPENSSL = shutil.which("openssl")
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, unencrypted PEM both; ``keystore`` is one file of the two."""

    certificate: Path
    key: Path
    keystore: Path


class Authority:
    """Signs certificates of hosts and clients. Its own one is in ``certificate``."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._name = name
        self.certificate = directory / f"{name}.pem"
        directory.mkdir(parents=True, exist_ok=True)
        extension = "keyUsage=critical,keyCertSign,cRLSign"
        made = ("-days", "2", "-subj", f"/CN={name}", "-addext", extension)
        self._openssl(
            *("req", "-x509", *_NEW_KEY, *made),
            *("-keyout", f"{name}.key", "-out", self.certificate.name),
        )

    def issue(self, name: str, host: str = "IP:127.0.0.1", *, days: int = 1) -> Issued:
        """A certificate of ``host``, as in subjectAltName; of -1 days: expired yesterday."""
        request, key, certificate = (f"{name}.{kind}" for kind in ("csr", "key", "crt"))
        self._openssl(
            *("req", *_NEW_KEY, "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"),
            *("-keyout", key, "-out", request),
        )
        signer = ("-CA", self.certificate.name, "-CAkey", f"{self._name}.key", "-CAcreateserial")
        self._openssl(
            *("x509", "-req", "-in", request, *signer, "-copy_extensions", "copy"),
            *("-days", str(days), "-out", certificate),
        )
        keystore = self._directory / f"{name}.pem"
        keystore.write_text(
            "".join((self._directory / it).read_text() for it in (key, certificate))
        )
        return Issued(self._directory / certificate, self._directory / key, keystore)

    def _openssl(self, *arguments: str) -> None:
        assert OPENSSL
        subprocess.run([OPENSSL, *arguments], cwd=self._directory, check=True, capture_output=True)
