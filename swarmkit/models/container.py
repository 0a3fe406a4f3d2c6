"""The container spec of a task template and its parts."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ..versions import Since
from ._wire import TEXT, UNSET, Base64, Bool, Duration, Int, Unset, WireModel, as_text
from .config import ConfigReference
from .mount import Mount
from .secret import SecretReference


class Healthcheck(WireModel):
    """How the engine finds out whether a container works."""

    test: list[str] | None = None
    """The check: `["CMD", arg, …]`, `["CMD-SHELL", line]`, `["NONE"]` to switch the image's off, `[]` to keep it."""
    interval: Duration | None = None
    """Time between checks; 0 keeps the image's, else at least 1 ms."""
    timeout: Duration | None = None
    """Time after which a check counts as failed; 0 keeps the image's, else at least 1 ms."""
    retries: Int | None = None
    """Failures in a row that make a container unhealthy; 0 keeps the image's."""
    start_period: Annotated[Duration | None, Since("1.29")] = None
    """Time to start up in, during which failures do not count; 0 keeps the image's, else at least 1 ms."""
    start_interval: Annotated[Duration | None, Since("1.44", release="25.0.1")] = None
    """Time between checks during the start period; 0 keeps the image's, else at least 1 ms."""


class DNSConfig(WireModel):
    """What a container's resolv.conf says."""

    nameservers: list[str] | None = None
    """Addresses of name servers."""
    search: list[str] | None = None
    """Search domains."""
    options: list[str] | None = None
    """Resolver options, such as `ndots:2`."""


class CredentialSpec(WireModel):
    """Where a Windows container's credential spec comes from: exactly one of the three."""

    replaced_whole: ClassVar[bool] = True

    config: Annotated[str | None, Since("1.40")] = None
    """Id of a config whose reference says `runtime`."""
    file: str | None = None
    """File in the engine's CredentialSpecs folder."""
    registry: str | None = None
    """Value in the host's registry."""


class SELinuxContext(WireModel):
    """SELinux labels of a container."""

    disable: Bool | None = None
    """Switch SELinux off for it."""
    user: str | None = None
    """User label."""
    role: str | None = None
    """Role label."""
    type: str | None = None
    """Type label."""
    level: str | None = None
    """Level label."""


class SeccompOpts(WireModel):
    """The system calls a container may make."""

    mode: Literal["default", "unconfined", "custom"] | str | None = None
    """The engine's own profile, none, or the one in `profile`."""
    profile: Annotated[Base64 | None, TEXT] = None
    """The profile of mode `custom`, in JSON; text assigned goes as UTF-8."""

    def __init__(
        self,
        *,
        mode: Literal["default", "unconfined", "custom"] | str | Unset | None = UNSET,
        profile: str | bytes | Unset | None = UNSET,
        **wire: Any,
    ) -> None:
        """The system calls a container may make.

        `profile` may be bytes, or text, which is sent in UTF-8. Other keywords are wire keys: a string under `Profile`
        is base64, as in JSON.

        Raises:
            pydantic.ValidationError: a value has the wrong type, or a keyword is neither a field nor a wire key.
        """
        given = {"mode": mode, "profile": as_text(profile)}
        super().__init__(**{name: value for name, value in given.items() if value is not UNSET}, **wire)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # see ContainerSpec: JSON goes past it


class AppArmorOpts(WireModel):
    """AppArmor for a container."""

    mode: Literal["default", "disabled"] | str | None = None
    """The engine's own profile, or none."""


class Privileges(WireModel):
    """Security options of a container."""

    credential_spec: Annotated[CredentialSpec | None, Since("1.29")] = None
    """Credential spec of a Windows container."""
    selinux_context: Annotated[SELinuxContext | None, Since("1.29"), Field(alias="SELinuxContext")] = None
    """SELinux labels."""
    seccomp: Annotated[SeccompOpts | None, Since("1.44")] = None
    """System call filter."""
    apparmor: Annotated[AppArmorOpts | None, Since("1.44"), Field(alias="AppArmor")] = None
    """AppArmor profile."""
    no_new_privileges: Annotated[Bool | None, Since("1.44")] = None
    """Processes cannot gain privileges, as through setuid files."""


class Ulimit(WireModel):
    """A resource limit of a container's processes."""

    name: str | None = None
    """Name, such as `nofile`."""
    soft: Int | None = None
    """Soft limit; -1 for none."""
    hard: Int | None = None
    """Hard limit; -1 for none."""


class ContainerSpec(WireModel):
    """The container that a task runs."""

    image: str | None = None
    """Image reference; without tag or digest engines take `latest`."""
    labels: dict[str, str] | None = None
    """Labels of the container (not of the service)."""
    command: list[str] | None = None
    """What to run in place of the image's entrypoint."""
    args: list[str] | None = None
    """Arguments to the command or entrypoint."""
    hostname: Annotated[str | None, Since("1.25")] = None
    """Host name; may be a template such as `{{.Node.Hostname}}`."""
    env: Annotated[list[str] | None, Field(repr=False)] = None
    """Environment as `NAME=value`; may hold secrets, so never shown."""
    dir: str | None = None
    """Working directory."""
    user: str | None = None
    """User, or `user:group`, of the process."""
    groups: Annotated[list[str] | None, Since("1.25")] = None
    """Further groups of the process."""
    privileges: Privileges | None = None
    """Security options."""
    tty: Annotated[Bool | None, Since("1.25")] = None
    """Give the process a terminal. Its logs are then one stream."""
    open_stdin: Annotated[Bool | None, Since("1.25")] = None
    """Keep standard input open."""
    read_only: Annotated[Bool | None, Since("1.28")] = None
    """Mount the root file system read-only."""
    mounts: list[Mount] | None = None
    """Binds, volumes and tmpfs."""
    stop_signal: Annotated[str | None, Since("1.28")] = None
    """Signal that stops it, such as `SIGINT`."""
    stop_grace_period: Duration | None = None
    """Time it has to stop before it is killed; engines default to 10 s."""
    healthcheck: Annotated[Healthcheck | None, Since("1.25")] = None
    """Health check in place of the image's."""
    hosts: Annotated[list[str] | None, Since("1.25")] = None
    """Lines `address name` for /etc/hosts; engines drop further names of a line."""
    dns_config: Annotated[DNSConfig | None, Since("1.25")] = None
    """Name servers and resolver options."""
    secrets: Annotated[list[SecretReference] | None, Since("1.25")] = None
    """Secrets it can read."""
    configs: Annotated[list[ConfigReference] | None, Since("1.30")] = None
    """Configs it can read."""
    isolation: Annotated[Literal["default", "process", "hyperv"] | str | None, Since("1.35", idle="default")] = None
    """Isolation of a Windows container."""
    init: Annotated[Bool | None, Since("1.38", presence=True)] = None
    """Run an init process inside; None leaves it to the engine."""
    sysctls: Annotated[dict[str, str] | None, Since("1.40")] = None
    """Kernel parameters of its namespaces."""
    capability_add: Annotated[list[str] | None, Since("1.41")] = None
    """Capabilities on top of the default ones, such as `CAP_NET_ADMIN`."""
    capability_drop: Annotated[list[str] | None, Since("1.41")] = None
    """Capabilities taken away."""
    ulimits: Annotated[list[Ulimit] | None, Since("1.41")] = None
    """Resource limits of its processes."""
    oom_score_adj: Annotated[Int | None, Since("1.46")] = None
    """How likely the kernel kills it when memory runs out, -1000 to 1000."""

    def __init__(
        self,
        image: str | Unset | None = UNSET,
        *,
        labels: Mapping[str, str] | Unset | None = UNSET,
        command: str | Sequence[str] | Unset | None = UNSET,
        args: str | Sequence[str] | Unset | None = UNSET,
        hostname: str | Unset | None = UNSET,
        env: Mapping[str, str | None] | Sequence[str] | Unset | None = UNSET,
        dir: str | Unset | None = UNSET,  # noqa: A002 -- Docker's own name
        user: str | Unset | None = UNSET,
        groups: Sequence[str] | Unset | None = UNSET,
        privileges: Privileges | Unset | None = UNSET,
        tty: bool | Unset | None = UNSET,
        open_stdin: bool | Unset | None = UNSET,
        read_only: bool | Unset | None = UNSET,
        mounts: Sequence[Mount | str] | Unset | None = UNSET,
        stop_signal: str | Unset | None = UNSET,
        stop_grace_period: Duration | Unset | None = UNSET,
        healthcheck: Healthcheck | Unset | None = UNSET,
        hosts: Mapping[str, str] | Sequence[str] | Unset | None = UNSET,
        dns_config: DNSConfig | Unset | None = UNSET,
        secrets: Sequence[SecretReference | str] | Unset | None = UNSET,
        configs: Sequence[ConfigReference | str] | Unset | None = UNSET,
        isolation: Literal["default", "process", "hyperv"] | str | Unset | None = UNSET,
        init: bool | Unset | None = UNSET,
        sysctls: Mapping[str, str] | Unset | None = UNSET,
        capability_add: Sequence[str] | Unset | None = UNSET,
        capability_drop: Sequence[str] | Unset | None = UNSET,
        ulimits: Sequence[Ulimit] | Unset | None = UNSET,
        oom_score_adj: int | Unset | None = UNSET,
        **wire: Any,
    ) -> None:
        """A container spec.

        `command` and `args` may be one string, split as a shell splits words; `env` a mapping, where None gives the
        name alone (taken from the image's environment); `hosts` a mapping of host name to address; a mount the text
        that `Mount.parse` takes; a secret or config its name, or what `SecretReference.parse` takes. Other keywords are
        wire keys.

        Raises:
            pydantic.ValidationError: a value has the wrong type, or a keyword is neither a field nor a wire key.
            ValueError: a command, mount, secret or config cannot be read.
        """
        given: dict[str, Any] = {
            "image": image, "labels": labels, "command": _words(command), "args": _words(args), "hostname": hostname,
            "env": _env_lines(env), "dir": dir, "user": user, "groups": groups, "privileges": privileges, "tty": tty,
            "open_stdin": open_stdin, "read_only": read_only, "mounts": _parsed(mounts, Mount.parse),
            "stop_signal": stop_signal, "stop_grace_period": stop_grace_period, "healthcheck": healthcheck,
            "hosts": _host_lines(hosts), "dns_config": dns_config, "secrets": _parsed(secrets, SecretReference.parse),
            "configs": _parsed(configs, ConfigReference.parse), "isolation": isolation, "init": init,
            "sysctls": sysctls, "capability_add": capability_add, "capability_drop": capability_drop,
            "ulimits": ulimits, "oom_score_adj": oom_score_adj,
        }  # fmt: skip
        super().__init__(**{name: value for name, value in given.items() if value is not UNSET}, **wire)

    # pydantic calls an overridden __init__ for every row it reads, at more than twice the cost, unless told that it
    # does nothing of its own. Ours only widens what Python code may pass: JSON goes past it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @property
    def environment(self) -> dict[str, str | None]:
        """`env` as a mapping, the last of several entries for one name; None for a name without a value."""
        pairs = (entry.partition("=") for entry in self.env or ())
        return {name: value if equals else None for name, equals, value in pairs}


def _words(command: str | Sequence[str] | Unset | None) -> Sequence[str] | Unset | None:
    return shlex.split(command) if isinstance(command, str) else command


def _env_lines(env: Mapping[str, object] | Sequence[str] | Unset | None) -> object:
    return _lines(env, "{name}={value}") if isinstance(env, Mapping) else env


def _host_lines(hosts: Mapping[str, object] | Sequence[str] | Unset | None) -> object:
    return _lines(hosts, "{value} {name}") if isinstance(hosts, Mapping) and None not in hosts.values() else hosts


def _lines(mapping: Mapping[str, object], form: str) -> list[object]:
    """A line for each item, its name alone where the value is None; a value that is no text is left to be refused."""
    return [
        form.format(name=name, value=value) if isinstance(value, str) else name if value is None else (name, value)
        for name, value in mapping.items()
    ]


def _parsed(items: Sequence[object] | Unset | None, parse: Callable[[str], object]) -> object:
    if items is None or isinstance(items, Unset | str):
        return items  # one text is a sequence too, of letters: pydantic refuses it
    return [parse(item) if isinstance(item, str) else item for item in items]
