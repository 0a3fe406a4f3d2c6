"""Small changes to a spec: one item more or less in its lists and mappings.

Owns: what those flags of `docker service update`, and `docker node update`, that add, rm or drop do to a spec. Pure.
Must not know: where specs come from and go to.
"""

import re
from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from copy import deepcopy
from operator import attrgetter
from posixpath import normpath
from typing import Any, Final, TypeVar

from .common import GenericResource
from .config import Config, ConfigReference
from .container import ContainerSpec, Ulimit
from .endpoint import PortConfig
from .mount import Mount
from .network import NetworkAttachmentConfig
from .secret import Secret, SecretReference
from .task import PlacementPreference, SpreadOver

V = TypeVar("V")


class _Place:
    """Where in a spec a list or mapping is, and what tells the items of the list apart."""

    def __init__(self, path: str, key: Callable[[Any], Hashable] = str) -> None:
        *self._above, self._field = path.split(".")
        self._key = key

    def read(self, spec: object) -> Any:
        """What is there; None where it, or a part above it, is missing."""
        for name in (*self._above, self._field):
            spec = getattr(spec, name, None)
        return spec

    def write(self, spec: object, value: list[Any] | dict[str, str]) -> None:
        """Put it there and make the parts above it that are missing; without a difference nothing is touched."""
        if value == (self.read(spec) or type(value)()):
            return
        for name in self._above:
            if getattr(spec, name) is None:
                setattr(spec, name, {})  # assignment makes the model of it
            spec = getattr(spec, name)
        setattr(spec, self._field, value)

    def keys(self, spec: object) -> set[Any]:
        """The keys of the list."""
        return set(map(self._key, self.read(spec) or ()))

    def put(self, spec: object, items: Iterable[Any]) -> None:
        """Each item in the place of that of the same key, or at the end: another order would restart tasks."""
        given = {self._key(item): item for item in deepcopy(list(items))}
        kept = [given.get(self._key(item), item) for item in self.read(spec) or ()]
        there = self.keys(spec)
        self.write(spec, kept + [item for key, item in given.items() if key not in there])

    def add(self, spec: object, items: Iterable[Any]) -> None:
        """The items whose key is not there, at the end: the others are there, if in other words."""
        there = self.keys(spec)
        self.put(spec, [item for item in items if self._key(item) not in there])

    def drop(self, spec: object, gone: Container[Any], key: Callable[[Any], Hashable] | None = None) -> None:
        """The list without the items of these keys."""
        key = key or self._key
        self.write(spec, [item for item in self.read(spec) or () if key(item) not in gone])

    def merge(self, spec: object, mappings: Iterable[Mapping[str, str]]) -> None:
        """The mapping with these in it."""
        self.write(spec, _together([self.read(spec) or {}, *mappings]))

    def omit(self, spec: object, gone: Container[str]) -> None:
        """The mapping without these names."""
        there: dict[str, str] = self.read(spec) or {}
        self.write(spec, {name: value for name, value in there.items() if name not in gone})


def _together(mappings: Iterable[Mapping[str, V]]) -> dict[str, V]:
    return {name: value for mapping in mappings for name, value in mapping.items()}


def _variable(line: str) -> str:
    return line.partition("=")[0]


def _condition(constraint: str) -> Hashable:
    return tuple(part.strip() for part in re.split("([!=]=)", constraint))


def _capability(name: str) -> str:
    name = name.strip().upper()
    return name if name in ("ALL", "RESET") or name.startswith("CAP_") else f"CAP_{name}"


def _file(reference: SecretReference | ConfigReference) -> Hashable:
    return reference.wire() if reference.file is None else reference.file.name


def _kind(resource: GenericResource) -> Hashable:
    count = resource.discrete_resource_spec
    return resource.wire() if count is None else count.kind


def _spread_over(preference: PlacementPreference) -> Hashable:
    return preference.wire() if preference.spread is None else preference.spread.spread_descriptor


def _publication(port: PortConfig) -> tuple[Hashable, ...]:
    spoken = port.target_port, port.protocol or "tcp", port.publish_mode or "ingress"
    return port.published_port or 0, spoken, port.name or ""


_CONTAINER: Final = "task_template.container_spec"

_LABELS: Final = _Place("labels")
_PORTS: Final = _Place("endpoint_spec.ports", _publication)
_OLD_NETWORKS: Final = _Place("networks")
_NETWORKS: Final = _Place("task_template.networks", attrgetter("target"))
_CONSTRAINTS: Final = _Place("task_template.placement.constraints", _condition)
_PREFERENCES: Final = _Place("task_template.placement.preferences", _spread_over)
_GENERIC_RESOURCES: Final = _Place("task_template.resources.reservations.generic_resources", _kind)
_ENV: Final = _Place(f"{_CONTAINER}.env", _variable)
_CONTAINER_LABELS: Final = _Place(f"{_CONTAINER}.labels")
_MOUNTS: Final = _Place(f"{_CONTAINER}.mounts", lambda mount: normpath(mount.target or ""))
_SECRETS: Final = _Place(f"{_CONTAINER}.secrets", _file)
_CONFIGS: Final = _Place(f"{_CONTAINER}.configs", _file)
_GROUPS: Final = _Place(f"{_CONTAINER}.groups")
_HOSTS: Final = _Place(f"{_CONTAINER}.hosts", lambda line: tuple(line.split()))
_DNS: Final = _Place(f"{_CONTAINER}.dns_config.nameservers")
_DNS_OPTIONS: Final = _Place(f"{_CONTAINER}.dns_config.options")
_DNS_SEARCH: Final = _Place(f"{_CONTAINER}.dns_config.search")
_SYSCTLS: Final = _Place(f"{_CONTAINER}.sysctls")
_ULIMITS: Final = _Place(f"{_CONTAINER}.ulimits", attrgetter("name"))
_ADDED: Final = _Place(f"{_CONTAINER}.capability_add", _capability)
_DROPPED: Final = _Place(f"{_CONTAINER}.capability_drop", _capability)

_ID: Final = re.compile("[0-9a-z]{25}")


class LabelEdits:
    """Labels more or less, with the others as they are."""

    def add_label(self, *labels: Mapping[str, str], **more: str) -> None:
        """Set labels: `--label-add`."""
        _LABELS.merge(self, [*labels, more])

    def remove_label(self, *names: str) -> None:
        """Take labels away: `--label-rm`."""
        _LABELS.omit(self, names)


class Edits(LabelEdits):
    """One line for each flag of `docker service update` that adds or removes something.

    What has a name and a value is given as mappings, or keywords; all else one after the other. What is added takes
    the place of what has the same name, target or file, or goes to the end. Removing what is not there does nothing.
    A spec that has it all already stays as it is; otherwise the parts that are missing are made. Arguments are copied.
    """

    # --- the service -------------------------------------------------------------------------------------------------

    def add_port(self, *ports: PortConfig | str | int) -> None:
        """Publish ports: `--publish-add`. A text is read by `PortConfig.parse`; a number is the port in the container.

        Others of the same target stay published. The manager chooses a published port that is not given.

        Raises:
            ValueError: a text is no port.
        """
        _PORTS.add(self, map(_port, ports))

    def remove_port(self, *ports: PortConfig | str | int) -> None:
        """Publish ports no longer: `--publish-rm`. A port is meant by target, protocol and publish mode.

        A protocol that is not given is tcp, a mode ingress. Where a published port is given, only that one is meant.

        Raises:
            ValueError: a text is no port.
        """
        meant = {_publication(_port(port))[:2] for port in ports}
        _PORTS.drop(self, {key for key in _PORTS.keys(self) if not meant.isdisjoint({key[:2], (0, key[1])})})

    # --- where tasks run, and with what ------------------------------------------------------------------------------

    def add_network(self, *networks: str | NetworkAttachmentConfig) -> None:
        """Attach tasks to networks: `--network-add`. A whole attachment takes the place of that to the same network.

        Engines store ids, so a spec does not show that a network given by name is attached already. Tasks then get a
        second address on it: give the id where that may be.
        """
        self._move_networks()
        given = [NetworkAttachmentConfig(target=one) if isinstance(one, str) else one for one in networks]
        bare = _NETWORKS.keys(self).intersection(one for one in networks if isinstance(one, str))
        _NETWORKS.put(self, [one for one in given if one.target not in bare])

    def remove_network(self, *networks: str) -> None:
        """Detach tasks from networks: `--network-rm`. Engines store ids: give the id.

        Raises:
            ValueError: a name, where the spec has ids: one of these may be what is meant.
        """
        self._move_networks()
        attached = _NETWORKS.keys(self)
        if any(_ID.fullmatch(target or "") for target in attached):
            for name in networks:
                if name not in attached and not _ID.fullmatch(name):
                    raise ValueError(f"this spec has its networks by id: give that of {name[:80]!r}")
        _NETWORKS.drop(self, networks)

    def _move_networks(self) -> None:
        """Bring over those of API 1.24: engines ignore them where the task template has some."""
        if old := _OLD_NETWORKS.read(self):
            _NETWORKS.write(self, _NETWORKS.read(self) or old)
            _OLD_NETWORKS.write(self, [])

    def add_constraint(self, *constraints: str) -> None:
        """Add placement constraints, such as `node.role==worker`: `--constraint-add`."""
        _CONSTRAINTS.add(self, constraints)

    def remove_constraint(self, *constraints: str) -> None:
        """Remove placement constraints, however they are spaced: `--constraint-rm`."""
        _CONSTRAINTS.drop(self, set(map(_condition, constraints)))

    def add_placement_preference(self, *labels: str | PlacementPreference) -> None:
        """Spread tasks over labels too, such as `node.labels.zone`: `--placement-pref-add`."""
        _PREFERENCES.add(self, map(_preference, labels))

    def remove_placement_preference(self, *labels: str | PlacementPreference) -> None:
        """Spread tasks over labels no longer: `--placement-pref-rm`."""
        _PREFERENCES.drop(self, {_spread_over(_preference(label)) for label in labels})

    def add_generic_resource(self, *resources: Mapping[str, int], **more: int) -> None:
        """Reserve numbers of units of generic resources: `--generic-resource-add`."""
        counts = _together([*resources, more])
        _GENERIC_RESOURCES.put(self, [GenericResource.discrete(kind, count) for kind, count in counts.items()])

    def remove_generic_resource(self, *kinds: str) -> None:
        """Reserve generic resources no longer: `--generic-resource-rm`."""
        _GENERIC_RESOURCES.drop(self, kinds)

    # --- the container -----------------------------------------------------------------------------------------------

    def add_env(self, *variables: Mapping[str, str | None], **more: str | None) -> None:
        """Set environment variables: `--env-add`. None gives the name alone.

        Raises:
            ValueError: a name has a `=` in it.
        """
        given = _together([*variables, more])
        if any("=" in name for name in given):
            raise ValueError("the name of an environment variable has no '=' in it")  # what is behind it may be secret
        _ENV.put(self, ContainerSpec(env=given).env or ())

    def remove_env(self, *names: str) -> None:
        """Remove environment variables: `--env-rm`."""
        _ENV.drop(self, names)

    def add_container_label(self, *labels: Mapping[str, str], **more: str) -> None:
        """Set labels of the containers: `--container-label-add`."""
        _CONTAINER_LABELS.merge(self, [*labels, more])

    def remove_container_label(self, *names: str) -> None:
        """Take labels from the containers: `--container-label-rm`."""
        _CONTAINER_LABELS.omit(self, names)

    def add_mount(self, *mounts: Mount | str) -> None:
        """Mount something, in place of what is mounted at that target: `--mount-add`. `Mount.parse` reads a text.

        Raises:
            ValueError: a text is no mount.
        """
        _MOUNTS.put(self, ContainerSpec(mounts=mounts).mounts or ())

    def remove_mount(self, *targets: str) -> None:
        """Remove what is mounted at these targets: `--mount-rm`."""
        _MOUNTS.drop(self, set(map(normpath, targets)))

    def add_secret(self, *secrets: SecretReference | Secret | str) -> None:
        """Give tasks secrets, each in place of the one in that file: `--secret-add`.

        A secret as it was inspected, or its name, becomes a file of that name. `SecretReference.named` says another
        one, and so does a text that `SecretReference.parse` reads.

        Raises:
            ValueError: a text is no secret.
        """
        given = [SecretReference.as_file(one.id, one.name) if isinstance(one, Secret) else one for one in secrets]
        _SECRETS.put(self, ContainerSpec(secrets=given).secrets or ())

    def remove_secret(self, *names: str) -> None:
        """Take secrets of these names from the tasks, whatever their files are: `--secret-rm`."""
        _SECRETS.drop(self, names, attrgetter("secret_name"))

    def add_config(self, *configs: ConfigReference | Config | str) -> None:
        """Give tasks configs, each in place of the one in that file: `--config-add`.

        A config as it was inspected, or its name, becomes a file of that name. `ConfigReference.named` says another
        one, and so does a text that `ConfigReference.parse` reads.

        Raises:
            ValueError: a text is no config.
        """
        given = [ConfigReference.as_file(one.id, one.name) if isinstance(one, Config) else one for one in configs]
        _CONFIGS.put(self, ContainerSpec(configs=given).configs or ())

    def remove_config(self, *names: str) -> None:
        """Take the files of configs of these names from the tasks: `--config-rm`. One for the runtime stays."""
        _CONFIGS.drop(self, names, lambda config: None if config.runtime is not None else config.config_name)

    def add_group(self, *groups: str) -> None:
        """Add groups to the process: `--group-add`."""
        _GROUPS.add(self, groups)

    def remove_group(self, *groups: str) -> None:
        """Take groups from the process: `--group-rm`."""
        _GROUPS.drop(self, groups)

    def add_host(self, *hosts: Mapping[str, str], **more: str) -> None:
        """Add addresses of host names to /etc/hosts: `--host-add`. Other addresses of a name stay, and come first."""
        for mapping in (*hosts, more):
            _HOSTS.add(self, ContainerSpec(hosts=mapping).hosts or ())

    def remove_host(self, *hosts: str) -> None:
        """Remove host names from /etc/hosts, or one address of a name, given as `name:address`: `--host-rm`."""
        kept = [_without(line, hosts) for line in _HOSTS.read(self) or ()]
        _HOSTS.write(self, [line for line in kept if line is not None])

    def add_dns(self, *addresses: str) -> None:
        """Add name servers: `--dns-add`."""
        _DNS.add(self, addresses)

    def remove_dns(self, *addresses: str) -> None:
        """Remove name servers: `--dns-rm`."""
        _DNS.drop(self, addresses)

    def add_dns_option(self, *options: str) -> None:
        """Add resolver options, such as `ndots:2`: `--dns-option-add`."""
        _DNS_OPTIONS.add(self, options)

    def remove_dns_option(self, *options: str) -> None:
        """Remove resolver options: `--dns-option-rm`."""
        _DNS_OPTIONS.drop(self, options)

    def add_dns_search(self, *domains: str) -> None:
        """Add search domains: `--dns-search-add`."""
        _DNS_SEARCH.add(self, domains)

    def remove_dns_search(self, *domains: str) -> None:
        """Remove search domains: `--dns-search-rm`."""
        _DNS_SEARCH.drop(self, domains)

    def add_sysctl(self, *parameters: Mapping[str, str], **more: str) -> None:
        """Set kernel parameters: `--sysctl-add`."""
        _SYSCTLS.merge(self, [*parameters, more])

    def remove_sysctl(self, *names: str) -> None:
        """Set kernel parameters no longer: `--sysctl-rm`."""
        _SYSCTLS.omit(self, names)

    def add_ulimit(self, *limits: Mapping[str, int | tuple[int, int]], **more: int | tuple[int, int]) -> None:
        """Set resource limits of processes, as one number or as `(soft, hard)`: `--ulimit-add`."""
        given = _together([*limits, more]).items()
        pairs = [(name, limit if isinstance(limit, tuple) else (limit, limit)) for name, limit in given]
        _ULIMITS.put(self, [Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in pairs])

    def remove_ulimit(self, *names: str) -> None:
        """Set resource limits of processes no longer: `--ulimit-rm`."""
        _ULIMITS.drop(self, names)

    def add_capability(self, *names: str) -> None:
        """Add capabilities: `--cap-add`. One that is dropped is only dropped no longer; add it once more to add it.

        `NET_ADMIN` is `CAP_NET_ADMIN`. `ALL` stands for all, `RESET` first takes back all that were added.
        """
        _weigh(self, names, _ADDED, _DROPPED)

    def drop_capability(self, *names: str) -> None:
        """Drop capabilities: `--cap-drop`. One that is added is only added no longer; drop it once more to drop it.

        `NET_RAW` is `CAP_NET_RAW`. `ALL` stands for all, `RESET` first takes back all that were dropped.
        """
        _weigh(self, names, _DROPPED, _ADDED)


def _weigh(spec: Edits, names: Iterable[str], here: _Place, there: _Place) -> None:
    """Put capabilities on one side, or just take them from the other where they are there."""
    given = list(dict.fromkeys(map(_capability, names)))
    if "RESET" in given:
        here.write(spec, [])
    taken = there.keys(spec) & {name for name in given if name != "RESET"}
    there.drop(spec, taken)
    here.add(spec, [name for name in given if name not in taken and name != "RESET"])
    if "ALL" in here.keys(spec):
        here.write(spec, ["ALL"])


def _port(port: PortConfig | str | int) -> PortConfig:
    if isinstance(port, int):
        return PortConfig(target_port=port)
    return PortConfig.parse(port) if isinstance(port, str) else port


def _preference(label: str | PlacementPreference) -> PlacementPreference:
    if isinstance(label, str):
        return PlacementPreference(spread=SpreadOver(spread_descriptor=label.removeprefix("spread=")))
    return label


def _without(line: str, hosts: Container[str]) -> str | None:
    """The line of /etc/hosts without these names; None where no name is left."""
    address, *names = line.split() or [line]
    left = [name for name in names if name not in hosts and f"{name}:{address}" not in hosts]
    return line if left == names else " ".join([address, *left]) if left else None
