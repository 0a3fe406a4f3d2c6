"""Image references: what registry, repository, tag and digest one names.

Pure. Follows the grammar that Docker itself parses by, with its familiar short forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import InvalidReference

DOCKER_HUB = "docker.io"
LEGACY_HUB = "index.docker.io"
_DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_NAME_LIMIT = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
_BARE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image reference with nothing left out but the tag."""

    domain: str
    """Host, and port where given, of the registry; `docker.io` for Docker Hub."""
    path: str
    """Repository there; official images of Docker Hub are below `library/`."""
    tag: str | None = None
    """Tag, where given."""
    digest: str | None = None
    """Digest, where given."""

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """The reference that a user means by this text.

        Raises:
            InvalidReference: it is none.
        """
        rest, at, digest = text.partition("@")
        head, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        domain, path = _split(f"{head}{slash}{last}")
        valid = (
            _DOMAIN.fullmatch(domain) is not None
            and _PATH.fullmatch(path) is not None
            and len(domain) + 1 + len(path) <= _NAME_LIMIT
            and (not colon or _TAG.fullmatch(tag) is not None)
            and (not at or _DIGEST.fullmatch(digest) is not None)
            and _BARE_ID.fullmatch(text) is None
        )
        if not valid:
            raise InvalidReference(f"not an image reference: {text[:200]!r}")
        return cls(domain, path, tag if colon else None, digest if at else None)

    def with_tag(self) -> ImageReference:
        """The same with the tag that is meant where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=_DEFAULT_TAG)

    def with_digest(self, digest: str) -> ImageReference:
        """The same image by its digest; the tag stays, for people to read.

        Raises:
            InvalidReference: it is no digest.
        """
        if _DIGEST.fullmatch(digest) is None:
            raise InvalidReference(f"not a digest: {digest[:200]!r}")
        return replace(self, digest=digest)

    @property
    def familiar(self) -> str:
        """The form users write: without Docker Hub's own names, where it means the same without them."""
        short = (self.path.removeprefix(_OFFICIAL), self.path) if self.domain == DOCKER_HUB else ()
        for name in short:
            if _split(name) == (self.domain, self.path) and _BARE_ID.fullmatch(name) is None:
                return name + self._suffix
        return self.normalized

    @property
    def normalized(self) -> str:
        """The form with nothing left out but the tag."""
        return f"{self.domain}/{self.path}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split(name: str) -> tuple[str, str]:
    """Registry and repository. The first part is a registry only if it cannot be a user's name on Docker Hub."""
    first, slash, rest = name.partition("/")
    is_domain = bool(slash) and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    domain, path = (first, rest) if is_domain else (DOCKER_HUB, name)
    if domain == LEGACY_HUB:
        domain = DOCKER_HUB
    if domain == DOCKER_HUB and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
