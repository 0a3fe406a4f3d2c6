"""Networks as services see them: attachments."""

from typing import Annotated

from pydantic import Field

from ..versions import Since
from ._wire import WireModel


class NetworkAttachmentConfig(WireModel):
    """A network that every task of a service joins."""

    target: str | None = None
    """Name or id of the network. Engines store the id."""
    aliases: list[str] | None = None
    """Further names under which the tasks are found on this network."""
    driver_opts: Annotated[dict[str, str] | None, Since("1.30"), Field(repr=False)] = None
    """Options for the network's driver, for this attachment."""
