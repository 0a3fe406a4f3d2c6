"""Secrets: how a service refers to one."""

from ._wire import Int, WireModel


class SecretReferenceFile(WireModel):
    """The file in which tasks find a secret."""

    name: str | None = None
    """File name below /run/secrets, or an absolute path."""
    uid: str | None = None
    """Owner, a number written as a string."""
    gid: str | None = None
    """Group, a number written as a string."""
    mode: Int | None = None
    """Permission bits, such as 0o444."""


class SecretReference(WireModel):
    """A secret given to every task of a service."""

    file: SecretReferenceFile | None = None
    """Where tasks find it."""
    secret_id: str | None = None
    """Id of the secret; must belong to `secret_name`."""
    secret_name: str | None = None
    """Name of the secret."""
