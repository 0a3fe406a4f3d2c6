"""The registries that the embedded engine pulls from: what they have, and for whom.

Owns: their answers. Must not know: what becomes of a task whose image they do not give.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ..errors import InvalidReference
from ..images import ImageReference
from ._call import Response, answer
from ._store import Json, Refusal

_PLATFORMS: Final = ("linux/amd64", "linux/arm64")
_KIND: Final = "application/vnd.oci.image.index.v1+json"


class Account(NamedTuple):
    """Who gets something from a registry."""

    username: str
    password: str


class Registries:
    """All of them. They have every image, unless said otherwise, and give it to everyone."""

    def __init__(self) -> None:
        self.is_up = True
        self._missing: set[str] = set()
        self._digests: dict[str, str] = {}
        self._platforms: dict[str, Sequence[str]] = {}
        self._accounts: dict[str, Account] = {}

    def remove(self, image: str) -> None:
        """Have an image no more."""
        self._missing.add(_name(image))

    def put(self, image: str, digest: str | None, platforms: Sequence[str] | None) -> None:
        """Have an image, under a digest and for platforms where these are given."""
        name = _name(image)
        self._missing.discard(name)
        if digest is not None:
            self._digests[name] = digest
        if platforms is not None:
            self._platforms[name] = platforms

    def protect(self, registry: str, account: Account) -> None:
        """Let one registry give to nobody else."""
        self._accounts[registry] = account

    def has(self, image: str) -> bool:
        """Whether an image is to be had anywhere."""
        return _name(image) not in self._missing

    def gives(self, image: str, auth: str | None) -> bool:
        """Whether an image is given to whoever shows these credentials."""
        account = self._account_for(image)
        return self.is_up and self.has(image) and account in (None, _account_in(auth))

    def distribution(self, image: str, auth: str | None) -> Response:
        """The answer of `/distribution`, in the words of an engine that asked the registry."""
        try:
            reference = ImageReference.parse(image).with_tag()
        except InvalidReference:
            raise Refusal(400, "invalid reference format") from None
        scheme = "http" if reference.domain.startswith(("127.", "localhost")) else "https"
        url = f"{scheme}://{reference.domain}/v2/"
        if not self.is_up:
            raise Refusal(500, f'Get "{url}": dial tcp {reference.domain}: connect: connection refused')
        account, shown = self._account_for(image), _account_in(auth)
        if account is not None and shown is None:
            url += f"{reference.path}/manifests/{reference.tag or reference.digest}"
            raise Refusal(500, f'Head "{url}": no basic auth credentials')
        if account not in (None, shown):
            raise Refusal(401, "unauthorized: authentication required")
        if not self.has(image):
            raise Refusal(404, "manifest unknown: manifest unknown")
        name = _name(image)
        made_up = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        digest = reference.digest or self._digests.get(name, made_up)
        found: list[Json] = []
        for platform in self._platforms.get(name, _PLATFORMS):
            system, _, rest = platform.partition("/")
            architecture, _, variant = rest.partition("/")
            found.append({"architecture": architecture, "os": system, **({"variant": variant} if variant else {})})
        described: Json = {"Descriptor": {"mediaType": _KIND, "digest": digest, "size": 1024}}
        return answer(200, {**described, **({"Platforms": found} if found else {})})

    def _account_for(self, image: str) -> Account | None:
        with suppress(InvalidReference):
            return self._accounts.get(ImageReference.parse(image).domain)
        return None


def stored(auth: str) -> dict[str, Any]:
    """What X-Registry-Auth says."""
    found: Mapping[str, Any] = json.loads(urlsafe_b64decode(auth + "=="))
    return dict(found)


def _account_in(auth: str | None) -> Account | None:
    found = stored(auth) if auth else {}
    return Account(found["username"], found.get("password", "")) if found.get("username") else None


def _name(image: str) -> str:
    """An image by its full name and tag, whatever digest it is asked for by."""
    with suppress(InvalidReference):
        image = ImageReference.parse(image.partition("@")[0]).with_tag().normalized
    return image
