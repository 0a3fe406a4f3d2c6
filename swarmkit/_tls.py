"""TLS to an engine: which files, and the context made of them. The other side is always verified, unless told not to.

Must not know: where the files were found.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import HostError


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSConfig:
    """The files with which TLS to an engine is made, all PEM. What is None is taken from where the address was found.

    Without a `ca_cert` the system's certificates are trusted, whatever SSL_CERT_FILE says.
    """

    ca_cert: str | os.PathLike[str] | None = None
    """Certificates that are trusted."""
    client_cert: str | os.PathLike[str] | None = None
    """Certificate that this side shows."""
    client_key: str | os.PathLike[str] | None = None
    """Private key of that certificate."""
    verify: bool = True
    """Look whether the engine's certificate is good, and for that host. Without, anyone can pretend to be it."""

    def filled_from(self, other: TLSConfig) -> TLSConfig:
        """The same, with another's files where there are none."""
        files = ("ca_cert", "client_cert", "client_key")
        return replace(self, **{name: getattr(other, name) for name in files if getattr(self, name) is None})


def files_in(folder: Path) -> TLSConfig:
    """What lies in a folder under the names that Docker gives such files."""
    ca_cert, client_cert, client_key = (
        path if (path := folder / name).is_file() else None for name in ("ca.pem", "cert.pem", "key.pem")
    )
    return TLSConfig(ca_cert=ca_cert, client_cert=client_cert, client_key=client_key)


def ssl_context(config: TLSConfig, source: str) -> ssl.SSLContext:
    """What sockets are wrapped with.

    Raises:
        HostError: a file is missing, cannot be read, or is not what it should be.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # Early releases of Python 3.11 take an end that nobody announced for a good one: it can be an attacker's.
    made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if not config.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if (config.client_cert is None) != (config.client_key is None):
        raise HostError(f"{source}: a client certificate needs its key, and a key its certificate")
    try:
        if config.ca_cert is not None:
            made.load_verify_locations(config.ca_cert)
        elif config.verify:
            _trust_system(made)
        if config.client_cert is not None and config.client_key is not None:
            made.load_cert_chain(config.client_cert, config.client_key, password="")  # never asks a terminal for one
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(map(str, filter(None, (config.ca_cert, config.client_cert, config.client_key))))
        raise HostError(f"{source}: TLS material of no use ({files}): {error.strerror or error}") from None
    return made


def _trust_system(made: ssl.SSLContext) -> None:
    # Not what SSL_CERT_FILE says: a variable for other programs must not decide whom a swarm is managed with.
    system = ssl.get_default_verify_paths()
    for file, folder in ((system.openssl_cafile, None), (None, system.openssl_capath)):
        if Path(file or folder or "").exists():
            made.load_verify_locations(file, folder)
