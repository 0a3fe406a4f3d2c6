"""Owns certificates for tests: an authority made on the spot, and what it issues.

Must not know what speaks TLS with them. They are made by the `openssl` program, good for two days.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.harness.packages import HarnessError, program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority of its own, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._own = self._make("ca", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"])

    @property
    def ca(self) -> Path:
        """The certificate by which all that it issues can be verified."""
        return self._own.cert

    def server(self, name: str, *addresses: str) -> Certificate:
        """Issue a certificate for whoever listens on these IP addresses."""
        listed = ",".join(f"IP:{address}" for address in addresses)
        return self._make(name, [f"subjectAltName={listed}", "extendedKeyUsage=serverAuth"], by=self._own)

    def client(self, name: str) -> Certificate:
        """Issue a certificate for whoever connects."""
        return self._make(name, ["extendedKeyUsage=clientAuth"], by=self._own)

    def _make(self, name: str, extensions: Sequence[str], by: Certificate | None = None) -> Certificate:
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
        signed = [] if by is None else ["-CA", str(by.cert), "-CAkey", str(by.key)]
        added = [word for extension in extensions for word in ("-addext", extension)]
        paths = ["-keyout", str(made.key), "-out", str(made.cert)]
        # No configuration: the system's adds extensions of its own.
        command = [program("openssl"), "req", "-config", "/dev/null", "-x509", "-days", "2", "-subj", f"/CN={name}"]
        done = subprocess.run([*command, *_KEY, *signed, *added, *paths], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HarnessError(f"`openssl` cannot make the certificate {name}: {done.stderr.strip()}")
        return made
