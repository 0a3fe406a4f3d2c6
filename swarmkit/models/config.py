"""Configs, and how a service refers to one."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from ..versions import Since
from ._wire import OCTAL, TEXT, UNSET, Base64, Int, Unset, WireModel, as_text
from .common import Driver, SwarmObject, read_reference


class ConfigReferenceFile(WireModel):
    """The file in which tasks find a config."""

    name: str | None = None
    """Absolute path, or a name below the root folder."""
    uid: str | None = None
    """Owner, a number written as a string."""
    gid: str | None = None
    """Group, a number written as a string."""
    mode: Annotated[Int | None, OCTAL] = None
    """Permission bits, such as 0o444."""


class ConfigReferenceRuntime(WireModel):
    """Says that a config is used by the task's runtime (as a credential spec) and not mounted."""


class ConfigReference(WireModel):
    """A config given to every task of a service, as a file or to its runtime."""

    file: ConfigReferenceFile | None = None
    """Where tasks find it."""
    runtime: Annotated[ConfigReferenceRuntime | None, Since("1.40", presence=True)] = None
    """Set, and empty, where the config is for the runtime and not a file."""
    config_id: str | None = None
    """Id of the config; must belong to `config_name`. Looked up where there is a name alone."""
    config_name: str | None = None
    """Name of the config. Looked up where there is an id alone."""

    @classmethod
    def as_file(
        cls,
        config_id: str,
        config_name: str,
        *,
        target: str | None = None,
        uid: str = "0",
        gid: str = "0",
        mode: int = 0o444,
    ) -> Self:
        """The config as a file of its own name in the root folder, root's and readable by all unless said."""
        found = cls.named(config_name, target=target, uid=uid, gid=gid, mode=mode)
        found.config_id = config_id
        return found

    @classmethod
    def named(
        cls, config_name: str, *, target: str | None = None, uid: str = "0", gid: str = "0", mode: int = 0o444
    ) -> Self:
        """The config of this name, as `as_file`: its id is looked up when the service is created or changed."""
        file = ConfigReferenceFile(name=target or config_name, uid=uid, gid=gid, mode=mode)
        return cls(file=file, config_name=config_name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `--config` takes: a name, or `source=NAME,target=FILE,uid=UID,gid=GID,mode=0400`.

        All but the source may be left out, as in `named`. A mode is written in octal, with a 0 before it.

        Raises:
            ValueError: the text is not of that form.
        """
        name, options = read_reference(text, "config")
        return cls.named(name, **options)


class ConfigSpec(WireModel):
    """What a user says about a config. Only its labels can change."""

    name: str | None = None
    """Name, unique in the swarm: at most 64 letters, digits and `-_.`."""
    labels: dict[str, str] | None = None
    """Labels."""
    data: Annotated[Base64 | None, TEXT, Field(repr=False)] = None
    """Its content, up to 1,023,999 bytes; text assigned goes as UTF-8. Not shown, as it is long."""
    templating: Annotated[Driver | None, Since("1.37")] = None
    """How the data is filled in for each task; `golang` for Go templates. Engines refuse it below that version."""

    def __init__(
        self,
        *,
        name: str | Unset | None = UNSET,
        labels: Mapping[str, str] | Unset | None = UNSET,
        data: str | bytes | Unset | None = UNSET,
        templating: Driver | Unset | None = UNSET,
        **wire: Any,
    ) -> None:
        """A config spec.

        `data` may be bytes, or text, which is sent in UTF-8. Other keywords are wire keys: a string under `Data` is
        base64, as in JSON.

        Raises:
            pydantic.ValidationError: a value has the wrong type, or a keyword is neither a field nor a wire key.
        """
        data = as_text(data)
        given = {"name": name, "labels": labels, "data": data, "templating": templating}
        super().__init__(**{field: value for field, value in given.items() if value is not UNSET}, **wire)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # see ContainerSpec: JSON goes past it


class Config(SwarmObject):
    """A config as the managers keep it."""

    spec: ConfigSpec
    """What the user said."""

    @property
    def name(self) -> str:
        """Name of the config."""
        return self.spec.name or ""


class ConfigCreated(WireModel):
    """The config that was created."""

    id: str
    """Its id."""
