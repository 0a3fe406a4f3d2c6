"""Secrets, and how a service refers to one."""

from typing import Annotated, Self

from pydantic import Field

from ..versions import Since
from ._wire import OCTAL, Base64, Int, WireModel
from .common import Driver, SwarmObject


class SecretReferenceFile(WireModel):
    """The file in which tasks find a secret."""

    name: str | None = None
    """File name below /run/secrets, or an absolute path."""
    uid: str | None = None
    """Owner, a number written as a string."""
    gid: str | None = None
    """Group, a number written as a string."""
    mode: Annotated[Int | None, OCTAL] = None
    """Permission bits, such as 0o444."""


class SecretReference(WireModel):
    """A secret given to every task of a service."""

    file: SecretReferenceFile | None = None
    """Where tasks find it."""
    secret_id: str | None = None
    """Id of the secret; must belong to `secret_name`."""
    secret_name: str | None = None
    """Name of the secret."""

    @classmethod
    def as_file(
        cls,
        secret_id: str,
        secret_name: str,
        *,
        target: str | None = None,
        uid: str = "0",
        gid: str = "0",
        mode: int = 0o444,
    ) -> Self:
        """The secret as a file of its own name below /run/secrets, root's and readable by all unless said."""
        file = SecretReferenceFile(name=target or secret_name, uid=uid, gid=gid, mode=mode)
        return cls(file=file, secret_id=secret_id, secret_name=secret_name)


class SecretSpec(WireModel):
    """What a user says about a secret. Only its labels can change."""

    name: str | None = None
    """Name, unique in the swarm: at most 64 letters, digits and `-_.`."""
    labels: dict[str, str] | None = None
    """Labels."""
    data: Annotated[Base64 | None, Field(repr=False)] = None
    """The secret itself, up to 500 KiB; never shown, and never given back by engines."""
    driver: Annotated[Driver | None, Since("1.31")] = None
    """Where the secret is kept, in place of `data`."""
    templating: Annotated[Driver | None, Since("1.37")] = None
    """How the data is filled in for each task; `golang` for Go templates. Engines refuse it below that version."""


class Secret(SwarmObject):
    """A secret as the managers keep it, without its data."""

    spec: SecretSpec
    """What the user said."""

    @property
    def name(self) -> str:
        """Name of the secret."""
        return self.spec.name or ""


class SecretCreated(WireModel):
    """The secret that was created."""

    id: str
    """Its id."""
