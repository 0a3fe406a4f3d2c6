"""Registry credentials: found as Docker finds them, sent as X-Registry-Auth, never shown.

Owns: which entry of Docker's config file belongs to an image, and the header. Must not know: services.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast

from anyio.to_thread import run_sync

from . import _dockerconfig
from .errors import CredentialsError, InvalidReference
from .images import DOCKER_HUB, ImageReference

HEADER = "X-Registry-Auth"
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105 -- the user name that says "this is a token", in Docker's own files


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Credentials for a registry: a user name and password, an identity token, or a registry token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """A token the engine trades for access, in place of a password."""
    registry_token: str = field(default="", repr=False)
    """A token sent to the registry as it is."""
    server: str = ""
    """The registry they are for, as Docker's config file names it; filled in where empty."""

    def header(self) -> str:
        """The value of X-Registry-Auth."""
        entries = {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
        }
        text = json.dumps({key: value for key, value in entries.items() if value}, separators=(",", ":"))
        # The URL alphabet, with padding: engines take anything else for no credentials, and say nothing.
        return urlsafe_b64encode(text.encode()).decode()


RegistryAuthOption = RegistryAuth | Literal["config"] | None
"""Where credentials come from: given, Docker's config file, or none are sent."""


class Lookup(NamedTuple):
    """What was found for an image."""

    auth: RegistryAuth | None
    warning: str = ""
    """Why credentials that may exist could not be had."""

    @property
    def headers(self) -> dict[str, str]:
        """What to send along."""
        return {} if self.auth is None else {HEADER: self.auth.header()}

    @property
    def warnings(self) -> list[str]:
        """The warning, if there is one."""
        return [self.warning] if self.warning else []


async def lookup(option: RegistryAuthOption, image: str, *, before: str = "") -> Lookup:
    """The credentials to send for an image; none for what is no image reference, which the engine refuses itself.

    `before` is the image whose credentials the swarm stores: where the new one is another registry's and nothing is
    found for it, empty ones are sent, because the stored ones would go to that registry.

    Raises:
        CredentialsError: Docker's config file cannot be read.
    """
    if option is None or not image:
        return Lookup(None)
    key = _key_of(image)
    if key is None:
        return Lookup(None)
    if isinstance(option, RegistryAuth):
        return Lookup(option if option.server else replace(option, server=key))
    found = in_config(await run_sync(_dockerconfig.read, os.environ), key)
    return found._replace(auth=RegistryAuth()) if found.auth is None and before and _key_of(before) != key else found


def _key_of(image: str) -> str | None:
    try:
        return registry_key(ImageReference.parse(image).domain)
    except InvalidReference:
        return None


def registry_key(domain: str) -> str:
    """The name under which Docker's config file keeps the credentials of a registry."""
    return _HUB_KEY if domain in (DOCKER_HUB, "index.docker.io") else domain


def in_config(config: Mapping[str, Any], key: str) -> Lookup:
    """The credentials that Docker's config file has for a registry.

    Raises:
        CredentialsError: the entry for this registry cannot be read. Others do not matter.
    """
    helper = _mapping(config.get("credHelpers")).get(key) or config.get("credsStore")
    if helper:
        return Lookup(
            None, f"credentials for {key} are kept by the helper {helper!r}, which is not asked yet: none were sent"
        )
    auths = _mapping(config.get("auths"))
    entry = auths.get(key)
    if entry is None:
        entry = next((auths[name] for name in auths if _hostname(name) == _hostname(key)), None)
    return Lookup(None if entry is None else _read_entry(entry, key))


def _read_entry(entry: object, key: str) -> RegistryAuth | None:
    texts = {name: value for name, value in _mapping(entry).items() if isinstance(value, str)}
    username, password = texts.get("username", ""), texts.get("password", "")
    if encoded := texts.get("auth"):
        username, colon, password = _decoded(encoded).partition(":")
        if not (colon and username):
            raise CredentialsError(f"the entry for {key} in Docker's config file is malformed")
        password = password.rstrip("\0")
    token = texts.get("identitytoken", "")
    if username == _TOKEN_USER:
        username, password, token = "", "", password or token
    found = RegistryAuth(
        username=username,
        password=password,
        identity_token=token,
        registry_token=texts.get("registrytoken", ""),
        server=key,
    )
    return found if username or token or found.registry_token else None


def _decoded(encoded: str) -> str:
    """The text in an `auth`; empty where it is malformed: an exception would carry it along."""
    with suppress(ValueError):
        return b64decode(encoded, validate=True).decode()
    return ""


def _hostname(key: str) -> str:
    """The host of a key: old files hold whole URLs."""
    bare = key.removeprefix("http://").removeprefix("https://")
    return bare.partition("/")[0]


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
