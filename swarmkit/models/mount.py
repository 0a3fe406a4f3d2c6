"""Mounts of a service's containers, and Docker's short way of writing one."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field

from ..versions import Since
from ._wire import OCTAL, Bool, Int, WireModel

MountType = Literal["bind", "volume", "tmpfs", "npipe", "cluster", "image"] | str
Propagation = Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"]
_PROPAGATIONS: Final = get_args(Propagation)


class BindOptions(WireModel):
    """Options of a bind mount."""

    propagation: Propagation | str | None = None
    """How mounts below it spread between host and container; engines default to rprivate."""
    non_recursive: Annotated[Bool | None, Since("1.41")] = None
    """Leave out the mounts below the source."""
    create_mountpoint: Bool | None = None
    """Works for containers; engines drop it for services."""
    read_only_non_recursive: Bool | None = None
    """Works for containers; engines drop it for services."""
    read_only_force_recursive: Bool | None = None
    """Works for containers; engines drop it for services."""


class DriverConfig(WireModel):
    """A volume driver and its options."""

    name: str | None = None
    """Name of the driver."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the driver; may hold credentials, so never shown."""


class VolumeOptions(WireModel):
    """Options of a volume mount."""

    no_copy: Bool | None = None
    """Do not fill an empty volume with what the image holds at the target."""
    labels: dict[str, str] | None = None
    """Labels of a volume made for this mount."""
    driver_config: DriverConfig | None = None
    """Driver of a volume made for this mount."""
    subpath: Annotated[str | None, Since("1.45", release="26.1.0")] = None
    """Folder inside the volume to mount, relative."""


class TmpfsOptions(WireModel):
    """Options of a tmpfs mount."""

    size_bytes: Int | None = None
    """Size limit in bytes; engines set none by default."""
    mode: Annotated[Int | None, OCTAL] = None
    """Permission bits, such as 0o1777."""
    options: Annotated[list[list[str]] | None, Since("1.46")] = None
    """Mount flags and key-value pairs, such as [["noexec"], ["uid", "1000"]]."""


class ImageOptions(WireModel):
    """Options of an image mount. Works for containers; no engine takes image mounts for services."""

    subpath: str | None = None
    """Folder inside the image."""


class ClusterOptions(WireModel):
    """Options of a cluster volume; none are defined."""


class Mount(WireModel):
    """Something of the host, a volume, or memory that appears in every container of a service."""

    type: Annotated[MountType | None, Since("1.40", value="npipe"), Since("1.42", value="cluster")] = None
    """Kind of mount; engines take a missing one for bind."""
    source: str | None = None
    """Host path, or name of the volume; none makes an anonymous volume."""
    target: str | None = None
    """Absolute path in the container."""
    read_only: Bool | None = None
    """Containers cannot write to it."""
    consistency: str | None = None
    """Works for containers; engines drop it for services."""
    bind_options: BindOptions | None = None
    """For type bind."""
    volume_options: VolumeOptions | None = None
    """For type volume."""
    tmpfs_options: Annotated[TmpfsOptions | None, Since("1.25")] = None
    """For type tmpfs."""
    image_options: ImageOptions | None = None
    """For type image, which no engine takes for services."""
    cluster_options: ClusterOptions | None = None
    """For type cluster."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mount written as `SOURCE:TARGET[:OPTIONS]`, or as `TARGET` alone for an anonymous volume.

        A source that starts with `/`, or a Windows drive or pipe, is a bind mount (a named pipe: npipe), any other a
        volume. Options are comma-separated: `ro`, `rw`, `nocopy`, or a bind propagation such as `rslave`.

        Raises:
            ValueError: the text is not of that form, its source is a relative path, or an option means nothing here.
        """
        parts = _split_paths(text)
        if not 1 <= len(parts) <= 3 or not all(parts):
            raise ValueError(f"not a mount (expected 'SOURCE:TARGET[:OPTIONS]'): {text[:200]!r}")
        if len(parts) == 1:
            return cls(type="volume", target=parts[0])
        source, target = parts[:2]
        if source.startswith((".", "~")):
            raise ValueError(f"mount source {source[:80]!r} is relative: which folder it means, the node cannot know")
        mount = cls(type=_type_of(source), source=source, target=target)
        for option in parts[2].split(",") if len(parts) == 3 else ():
            mount._apply(option, text)
        return mount

    def _apply(self, option: str, text: str) -> None:
        if option in ("ro", "rw"):
            self.read_only = option == "ro"
        elif option == "nocopy" and self.type == "volume":
            self.volume_options = VolumeOptions(no_copy=True)
        elif option in _PROPAGATIONS and self.type == "bind":
            self.bind_options = BindOptions(propagation=option)
        else:
            raise ValueError(
                f"mount option {option[:40]!r} means nothing for a {self.type} of a service: {text[:200]!r}"
            )


def _split_paths(text: str) -> list[str]:
    """Split at colons, but not behind the drive letter of a Windows path."""
    parts: list[str] = []
    for piece in text.split(":"):
        drive = parts[-1] if parts else ""
        if len(drive) == 1 and drive.isalpha() and piece.startswith(("\\", "/")):
            parts[-1] += ":" + piece
        else:
            parts.append(piece)
    return parts


def _type_of(source: str) -> MountType:
    if source.startswith(("\\\\.\\pipe\\", "//./pipe/")):
        return "npipe"
    return "bind" if source[:1] in ("/", "\\") or source[1:2] == ":" else "volume"
