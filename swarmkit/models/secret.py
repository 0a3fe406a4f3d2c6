"""Secrets, and how a service refers to one."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from ..versions import Since
from ._wire import OCTAL, TEXT, UNSET, Base64, Int, Unset, WireModel, as_text
from .common import Driver, SwarmObject, read_reference


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
    """Id of the secret; must belong to `secret_name`. Looked up where there is a name alone."""
    secret_name: str | None = None
    """Name of the secret. Looked up where there is an id alone."""

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
        found = cls.named(secret_name, target=target, uid=uid, gid=gid, mode=mode)
        found.secret_id = secret_id
        return found

    @classmethod
    def named(
        cls, secret_name: str, *, target: str | None = None, uid: str = "0", gid: str = "0", mode: int = 0o444
    ) -> Self:
        """The secret of this name, as `as_file`: its id is looked up when the service is created or changed."""
        file = SecretReferenceFile(name=target or secret_name, uid=uid, gid=gid, mode=mode)
        return cls(file=file, secret_name=secret_name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `--secret` takes: a name, or `source=NAME,target=FILE,uid=UID,gid=GID,mode=0400`.

        All but the source may be left out, as in `named`. A mode is written in octal, with a 0 before it.

        Raises:
            ValueError: the text is not of that form.
        """
        name, options = read_reference(text, "secret")
        return cls.named(name, **options)


class SecretSpec(WireModel):
    """What a user says about a secret. Only its labels can change."""

    name: str | None = None
    """Name, unique in the swarm: at most 64 letters, digits and `-_.`."""
    labels: dict[str, str] | None = None
    """Labels."""
    data: Annotated[Base64 | None, TEXT, Field(repr=False)] = None
    """The secret itself, up to 511,999 bytes; text assigned goes as UTF-8. Never shown, never given back by engines."""
    driver: Annotated[Driver | None, Since("1.31")] = None
    """Where the secret is kept, in place of `data`."""
    templating: Annotated[Driver | None, Since("1.37")] = None
    """How the data is filled in for each task; `golang` for Go templates. Engines refuse it below that version."""

    def __init__(
        self,
        *,
        name: str | Unset | None = UNSET,
        labels: Mapping[str, str] | Unset | None = UNSET,
        data: str | bytes | Unset | None = UNSET,
        driver: Driver | Unset | None = UNSET,
        templating: Driver | Unset | None = UNSET,
        **wire: Any,
    ) -> None:
        """A secret spec.

        `data` may be bytes, or text, which is sent in UTF-8. Other keywords are wire keys: a string under `Data` is
        base64, as in JSON.

        Raises:
            pydantic.ValidationError: a value has the wrong type, or a keyword is neither a field nor a wire key.
        """
        data = as_text(data)
        given = {"name": name, "labels": labels, "data": data, "driver": driver, "templating": templating}
        super().__init__(**{field: value for field, value in given.items() if value is not UNSET}, **wire)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # see ContainerSpec: JSON goes past it


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
