"""What goes along with an image: the credentials for its registry, and the digest and platforms it is pinned to.

Owns: when credentials are looked up, what a registry's answer does to a spec, what is said where there is none.
Must not know: where credentials come from, or how a spec gets into the swarm.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from . import auth
from ._engine import Engine
from .errors import InvalidReference, ProtocolError, SwarmkitError
from .images import ImageReference
from .models._wire import UNSET, Unset
from .models.common import Platform
from .models.service import ServiceSpec
from .models.system import DistributionInspect
from .models.task import Placement
from .versions import ApiVersion

PinDigest = Literal["never", "try", "require"]
"""Whether an image is pinned to the digest that its registry has for it: never, where that can be had, or always."""

_SINCE: Final = ApiVersion(1, 30)
_PATIENCE: Final = 20.0
"""Seconds that a registry gets for an answer which can be done without."""


class ImageChange:
    """What one operation wants of images; what it found for one holds however often the operation is tried.

    What the call itself does not say, the client's defaults say for a new image; one that stays is left alone, with the
    credentials that are stored.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        registry_auth: auth.ChangeAuthOption | Unset = UNSET,
        default_auth: auth.RegistryAuthOption = None,
        pin_digest: PinDigest | Unset = UNSET,
        default_pin: PinDigest = "never",
        needs_auth: bool = False,
    ) -> None:
        self._engine = engine
        self._auth: auth.ChangeAuthOption | Unset = registry_auth
        self._default_auth: auth.RegistryAuthOption = default_auth
        self._pin: PinDigest | Unset = pin_digest if isinstance(pin_digest, Unset) else checked(pin_digest)
        self._default_pin: PinDigest = default_pin
        self._needs_auth = needs_auth
        self._found: dict[tuple[str, str], auth.Lookup] = {}
        self._answers: dict[str, DistributionInspect | SwarmkitError] = {}

    async def prepare(self, spec: ServiceSpec, live: ServiceSpec | None) -> auth.Lookup:
        """The credentials to send with a spec, and every warning; its image is pinned where that is wanted.

        `live` is what the spec takes the place of. Platforms that are not from there are the caller's, and stay.

        Raises:
            CredentialsError: Docker's config file cannot be read, or credentials that are needed cannot be had.
            SwarmkitError: a digest is required and cannot be had.
            ValueError: credentials are to come from the previous spec of a new service.
        """
        if live is None and self._auth == "previous-spec":
            raise ValueError("a new service has no previous spec to take credentials from")
        before = "" if live is None else live.image
        is_new = live is None or spec.image != before
        default = self._default_pin if is_new else "never"
        pin = default if isinstance(self._pin, Unset) else self._pin
        found = await self._look_up(spec.image, before, is_new=is_new or pin != "never")
        warnings = [*found.warnings]
        limits = platforms_of(spec)
        inherited = limits if live is not None and limits == platforms_of(live) else []
        if pin == "require" or (pin == "try" and spec.image):
            try:
                answer = await self._ask(spec.image, pin, found)
                spec.container.image = pinned(spec.image, answer)
            except SwarmkitError as error:
                if pin == "require":
                    for warning in found.warnings:
                        error.add_note(warning)
                    raise
                warnings.append(f"{spec.image} is not pinned to a digest, each node will look it up by itself: {error}")
            else:
                if (inherited or not limits) and (runs_on := platforms(answer)):
                    _put_platforms(spec, runs_on)
                    inherited = []
        if is_new and inherited:
            warnings.append(
                f"{spec.image} is new and its tasks go to the platforms of {before} only, which were stored when that "
                "was pinned: pin this one too, or clear placement.platforms"
            )
        return found._replace(warnings=tuple(warnings))

    async def _look_up(self, image: str, before: str, *, is_new: bool) -> auth.Lookup:
        if (image, before) not in self._found:
            if isinstance(self._auth, Unset):
                option: auth.ChangeAuthOption = self._default_auth if is_new or self._needs_auth else None
            else:
                option = self._auth
            self._found[image, before] = await auth.lookup(
                option, image, before=before, asked=self._needs_auth or self._auth == "config", needed=self._needs_auth
            )
        return self._found[image, before]

    async def _ask(self, image: str, pin: PinDigest, credentials: auth.Lookup) -> DistributionInspect:
        """What the registry of an image says about it, asked once."""
        name = ImageReference.parse(image).with_tag().familiar
        limit = self._engine.timeout
        if pin == "try":
            limit = _PATIENCE if limit is None else min(_PATIENCE, limit / 2)
        if name not in self._answers:
            try:
                with self._engine.one_deadline(limit):
                    self._answers[name] = await distribution(self._engine, image, credentials)
            except SwarmkitError as error:
                self._answers[name] = error
        if isinstance(answer := self._answers[name], SwarmkitError):
            raise answer
        return answer


async def distribution(engine: Engine, image: str, credentials: auth.Lookup) -> DistributionInspect:
    """What the registry of an image says about it.

    GET /distribution/{name}/json, API 1.30.

    Raises:
        InvalidReference: it is no image reference.
    """
    name = ImageReference.parse(image).with_tag().familiar
    path = f"/distribution/{name}/json"
    return await engine.call("GET", path, headers=credentials.headers, since=_SINCE, into=DistributionInspect)


def checked(pin_digest: PinDigest) -> PinDigest:
    """The same, if it is one: what is misspelt must not pass for "never".

    Raises:
        ValueError: it is something else.
    """
    if pin_digest not in get_args(PinDigest):
        raise ValueError(f'pin_digest is "never", "try" or "require", not {pin_digest!r}')
    return pin_digest


def pinned(image: str, answer: DistributionInspect) -> str:
    """The image with the digest that its registry answered; one that has a digest stays as it is.

    Raises:
        ProtocolError: the answer holds no digest.
    """
    reference = ImageReference.parse(image)
    if reference.digest is not None:
        return image
    try:
        return reference.with_tag().with_digest(answer.descriptor.digest or "").familiar
    except InvalidReference as error:
        raise ProtocolError(f"what the registry of {image} says about it: {error}") from None


def platforms(answer: DistributionInspect) -> list[Platform]:
    """The platforms that an image runs on, as placement takes them, which knows no variants."""
    found: list[Platform] = []
    for platform in answer.platforms or ():
        system, architecture = platform.os or "", platform.architecture or ""
        if "unknown" in (system, architecture):  # no image: attestations and other things that lie beside
            continue
        # Nodes call this architecture by its variants, such as armv7l, and would never match.
        runs_on = Platform(os=system, architecture="" if architecture.lower() == "arm" else architecture)
        if runs_on not in found:
            found.append(runs_on)
    return found


def platforms_of(spec: ServiceSpec) -> list[Platform]:
    """The platforms that the tasks of a service are limited to."""
    placement = None if spec.task_template is None else spec.task_template.placement
    return (placement and placement.platforms) or []


def _put_platforms(spec: ServiceSpec, runs_on: list[Platform]) -> None:
    template = spec.task_template
    assert template is not None  # it has the image
    template.placement = template.placement or Placement()
    template.placement.platforms = runs_on
