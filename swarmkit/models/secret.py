"""Secrets: how a service refers to one."""

from typing import Self

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
