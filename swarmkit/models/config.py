"""Configs, and how a service refers to one."""

from typing import Annotated, Self

from pydantic import Field

from ..versions import Since
from ._wire import OCTAL, Base64, Int, WireModel
from .common import Driver, SwarmObject


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
    """Id of the config; must belong to `config_name`."""
    config_name: str | None = None
    """Name of the config."""

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
        file = ConfigReferenceFile(name=target or config_name, uid=uid, gid=gid, mode=mode)
        return cls(file=file, config_id=config_id, config_name=config_name)


class ConfigSpec(WireModel):
    """What a user says about a config. Only its labels can change."""

    name: str | None = None
    """Name, unique in the swarm: at most 64 letters, digits and `-_.`."""
    labels: dict[str, str] | None = None
    """Labels."""
    data: Annotated[Base64 | None, Field(repr=False)] = None
    """Its content, up to 1,000 KiB; not shown, as it is long."""
    templating: Annotated[Driver | None, Since("1.37")] = None
    """How the data is filled in for each task; `golang` for Go templates. Engines refuse it below that version."""


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
