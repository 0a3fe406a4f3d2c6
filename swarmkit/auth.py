"""Registry credentials: found as Docker finds them, sent as X-Registry-Auth, never shown.

Owns: which entry of Docker's config file belongs to an image, whether a helper is asked, and the header.
Must not know: services, or how a helper is run.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, Never, Self, cast

from anyio.to_thread import run_sync

from . import _dockerconfig, _helper
from .errors import CredentialsError, InvalidReference
from .images import DOCKER_HUB, LEGACY_HUB, ImageReference

HEADER: Final = "X-Registry-Auth"
VARIABLE: Final = "DOCKER_AUTH_CONFIG"
_HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_NAMES: Final = (DOCKER_HUB, LEGACY_HUB)
_TOKEN_USER: Final = "<token>"  # noqa: S105 -- the user name by which a helper says that it keeps an identity token
# What the `docker` program escapes in JSON beyond what must be: the header's bytes are to be the same.
_ESCAPES: Final = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Credentials for a registry: a user name and password, an identity token, or a registry token.

    They are never shown, and cannot be pickled.
    """

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
        entries = {key: value for key, value in entries.items() if value}
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)
        # Half a surrogate pair has no bytes; as an escape it is what it was. The URL alphabet, with padding: engines
        # take anything else for no credentials, and say nothing.
        return urlsafe_b64encode(text.encode("utf-8", "backslashreplace")).decode()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("registry credentials are not pickled: whoever gets the bytes would have the password")


RegistryAuthOption = RegistryAuth | Literal["config"] | None
"""Where credentials come from: given, where Docker keeps them, or none are sent."""
ChangeAuthOption = RegistryAuthOption | Literal["previous-spec"]
"""The same for a change; `previous-spec` are those that the swarm stores with the previous spec."""


class Lookup(NamedTuple):
    """What was found for an image."""

    auth: RegistryAuth | None
    warnings: tuple[str, ...] = ()
    """What the caller should know, such as why credentials that may exist could not be had."""
    stored: Literal["spec", "previous-spec"] = "spec"
    """Which of the stored ones count where none were found."""

    @property
    def headers(self) -> dict[str, str]:
        """What to send along."""
        return {} if self.auth is None else {HEADER: self.auth.header()}


async def lookup(
    option: ChangeAuthOption, image: str, *, before: str = "", asked: bool = False, needed: bool = False
) -> Lookup:
    """The credentials to send for an image; none for what is no image reference, which the engine refuses itself.

    `before` is the image whose credentials the swarm stores: where the new one is another registry's and nothing is
    found for it, empty ones are sent, because the stored ones would go to that registry. Credentials that cannot be had
    are a warning, unless the caller `asked` for them: the image may be public. With `needed` none are an error.

    Raises:
        CredentialsError: Docker's config file, or the entry for this registry, cannot be read; or the caller asked for
            credentials and a helper or DOCKER_AUTH_CONFIG is of no use, or needs some and there are none.
        ValueError: the option is none.
    """
    if option == "previous-spec":
        return Lookup(None, stored="previous-spec")
    key = _key_of(image)
    if option is None or key is None:
        found = Lookup(None)
    elif isinstance(option, RegistryAuth):
        found = Lookup(option if option.server else replace(option, server=key))
    elif cast("object", option) != "config":
        raise ValueError('registry_auth is a RegistryAuth, "config" or None')  # it may be a password: not shown
    else:
        found = await _as_docker_does(key, asked=asked or needed)
        if found.auth is None and before and _key_of(before) != key:
            found = found._replace(auth=RegistryAuth())
    if needed and found.auth is None:
        why = "registry_auth is None" if option is None else "Docker's config has none"
        raise CredentialsError(f"there are no credentials for {key or 'what is no image'}: {why}")
    return found


def _key_of(image: str) -> str | None:
    try:
        return registry_key(ImageReference.parse(image).domain)
    except InvalidReference:
        return None


def registry_key(domain: str) -> str:
    """The name under which Docker's config file keeps the credentials of a registry."""
    return _HUB_KEY if domain in _HUB_NAMES else domain


async def _as_docker_does(key: str, *, asked: bool) -> Lookup:
    """What DOCKER_AUTH_CONFIG has, or else what a helper keeps, or else what is in the config file."""
    warnings: list[str] = []
    try:
        if (found := in_environment(os.environ.get(VARIABLE, ""), key)) is not None:
            return Lookup(found)
    except CredentialsError as error:
        if asked:
            raise
        warnings.append(f"{error}; it was left aside")
    path = _dockerconfig.file(os.environ)
    config = await run_sync(_dockerconfig.read_object, path)
    found = in_config(config, key, path)
    if helper := helper_for(config, key, path):
        try:
            found = _kept(await _helper.ask(helper, key), found, key)
        except CredentialsError as error:
            if asked:
                raise
            found = None
            warnings.append(f"{error}; none were sent")
    return Lookup(found, tuple(warnings))


def _kept(kept: _helper.Kept | None, beside: RegistryAuth | None, key: str) -> RegistryAuth | None:
    """What a helper keeps, with the one thing that the config file may add to it: a registry token."""
    registry_token = "" if beside is None else beside.registry_token
    if kept is None:
        return RegistryAuth(registry_token=registry_token) if registry_token else None
    if kept.username == _TOKEN_USER:
        return RegistryAuth(identity_token=kept.secret, registry_token=registry_token, server=key)
    return RegistryAuth(username=kept.username, password=kept.secret, registry_token=registry_token, server=key)


def in_environment(text: str, key: str) -> RegistryAuth | None:
    """The credentials that DOCKER_AUTH_CONFIG has for a registry, under that very name.

    Raises:
        CredentialsError: it is not what Docker takes there, or the entry for this registry is not.
    """
    if not text.strip():
        return None
    parsed: object = None
    with suppress(ValueError, RecursionError):  # nothing is raised in here: the parser's exception holds the content
        parsed = json.loads(text)
    if not isinstance(parsed, dict):
        raise CredentialsError(f"{VARIABLE}: not a JSON object")
    config = cast("dict[str, Any]", parsed)
    if config.keys() - {"auths"}:
        raise CredentialsError(f"{VARIABLE}: Docker takes nothing there but auths")
    entry = _section(config, "auths", VARIABLE).get(key)
    if entry is None:
        return None
    found = _read_entry(entry, key, VARIABLE) if {*_mapping(entry)} == {"auth"} else None
    if found is None:
        raise CredentialsError(f"{VARIABLE}: Docker takes nothing there but an auth, and {key} has something else")
    return found


def helper_for(config: Mapping[str, Any], key: str, where: object) -> str:
    """The helper that keeps the credentials of a registry; empty where there is none.

    Raises:
        CredentialsError: the place for it holds something else.
    """
    helpers = _section(config, "credHelpers", where)
    helper = helpers[key] if key in helpers else config.get("credsStore")
    if not isinstance(helper, str | None):
        raise CredentialsError(f"{where}: the helper for {key} is malformed")
    return helper or ""


def in_config(config: Mapping[str, Any], key: str, where: object) -> RegistryAuth | None:
    """The credentials that are in Docker's config file for a registry, under its name or that in a URL.

    Raises:
        CredentialsError: the entry for this registry cannot be read. Others do not matter.
    """
    auths = _section(config, "auths", where)
    names = (key, *(name for name in auths if _is_for(name, key)))
    name = next((name for name in names if name in auths), None)
    return None if name is None else _read_entry(auths[name], name, where)


def _is_for(name: str, key: str) -> bool:
    """Whether an entry is for a registry: old files hold whole URLs, and some programs write other names of the Hub."""
    hostname = name.removeprefix("http://").removeprefix("https://").partition("/")[0]
    return hostname in _HUB_NAMES if key == _HUB_KEY else hostname == key


def _read_entry(entry: object, name: str, where: object) -> RegistryAuth | None:
    fields = {"username": "", "password": "", "auth": "", "identitytoken": "", "registrytoken": ""}
    given = {key: value for key, value in _mapping(entry).items() if key in fields and value is not None}
    is_valid = isinstance(entry, dict | None) and all(isinstance(value, str) for value in given.values())
    fields |= given
    if is_valid and (encoded := fields["auth"]):
        fields["username"], colon, password = _decoded(encoded).partition(":")
        fields["password"] = password.strip("\0")
        is_valid = bool(colon and fields["username"])
    if not is_valid:
        raise CredentialsError(f"{where}: the entry for {name} is malformed")
    found = RegistryAuth(
        username=fields["username"],
        password=fields["password"],
        identity_token=fields["identitytoken"],
        registry_token=fields["registrytoken"],
    )
    return None if found == RegistryAuth() else replace(found, server=name)


def _decoded(encoded: str) -> str:
    """The text in an `auth`, in any number of lines; empty where it is malformed: an exception would carry it along."""
    with suppress(ValueError):
        return b64decode("".join(encoded.splitlines()), validate=True).decode()
    return ""


def _section(config: Mapping[str, Any], name: str, where: object) -> Mapping[str, Any]:
    if not isinstance(config.get(name), dict | None):
        raise CredentialsError(f"{where}: {name} is not a JSON object")
    return _mapping(config.get(name))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
