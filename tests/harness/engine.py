"""Owns one running engine: its namespaces, its image, its swarm, and its complete disappearance.

Must not know where programs come from (`packages` does), nor anything of swarmkit.

An engine has network, mount, process and host-name namespaces of its own and its data in memory. So engines
run side by side with the same ports and the same `docker0`, the host's rules and links are never touched, and
when the first process of the namespaces ends the kernel takes containers, mounts and links along.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import http.client
import io
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.harness.packages import RELEASES, HarnessError, program, search_path, why_not

if TYPE_CHECKING:
    from types import TracebackType

IMAGES: Final = ("busybox:1.36", "busybox:1.37")
ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""This machine's, in the words of images."""

_SPACES: Final = (
    *("--net", "--mount", "--pid", "--uts"),
    *("--propagation=private", "--mount-proc", "--fork", "--kill-child"),
)
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_CGROUPS: Final = Path("/sys/fs/cgroup")
_PREFIX: Final = "swk-"
# A unix socket's path must stay below 108 bytes.
_LONGEST_SOCKET_PATH: Final = 100

# Runs as root in fresh namespaces. What is written to /run, /etc, /opt and /var/lib stays private: engines
# and containerd's shims put sockets, keys and folders there whatever one says. /sys is mounted anew, or
# it would show the host's network links, and keeps the host's control groups. `/` is shared again, within
# the namespace, for mounts that ask for propagation. Standard input is the read end of the owner's pipe: when
# the owner dies, however it dies, reading ends and the engine is killed. Each line read starts dockerd: what
# survives its end, as the kernel sees it, is there for the next one. Sockets to listen on that were handed
# down come as systemd hands them over, from descriptor 3 on.
_BOOT: Final = r"""
set -eu
root=$1 cgroup=$2 name=$3
shift 3
ip link set lo up
hostname "$name"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=711 tmpfs "$root/state"
mkdir "$root/state/cgroup"
mount --rbind /sys/fs/cgroup "$root/state/cgroup"
mount -t sysfs sysfs /sys
mount --move "$root/state/cgroup" /sys/fs/cgroup
for kept in etc opt var/lib; do
    over="$root/state/over/$kept"
    mkdir -p "$over/upper" "$over/work"
    mount -t overlay -o "lowerdir=/$kept,upperdir=$over/upper,workdir=$over/work" overlay "/$kept"
done
mount --make-rshared /
next=3
for handed in $HANDED; do
    [ "$handed" = "$next" ] || eval "exec $next<&$handed $handed<&-"
    next=$((next + 1))
done
export LISTEN_FDS=$((next - 3))
while read -r _; do
    LISTEN_PID=$BASHPID exec dockerd --config-file "$root/daemon.json" --host "unix://$root/docker.sock" \
        --pidfile "$root/state/pid" --data-root "$root/state/data" --exec-root "$root/state/exec" \
        --cgroup-parent "$cgroup" "$@" </dev/null &
done
"""


class Engine:
    """A Docker engine of one release that manages a swarm of its own; `with Engine("20.10") as engine: …`.

    With `tcp`, a list of the host's own addresses, it answers on a TCP port of each as well; `arguments` go to dockerd.
    `name` is its host's; without `swarm` it is left out of any, for tests that start or join one themselves.
    """

    def __init__(
        self,
        release: str,
        *,
        tcp: Sequence[str] = (),
        arguments: Sequence[str] = (),
        name: str | None = None,
        swarm: bool = True,
    ) -> None:
        if release not in RELEASES:
            raise HarnessError(f"no engine release {release!r}: there are {', '.join(RELEASES)}")
        self.release = release
        self.api_version = RELEASES[release].api_version
        self.ports: dict[str, int] = {}
        self._tcp = tuple(tcp)
        self._arguments = tuple(arguments)
        self._name = name or f"engine-{release.replace('.', '-')}"
        self._swarm = swarm
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    def __repr__(self) -> str:
        return f"Engine({self.release!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The engine's folder on the host; its data below `state` is visible inside its namespace only."""
        if self._folder is None:
            raise HarnessError(f"{self!r} is not running")
        return self._folder

    @property
    def socket(self) -> str:
        """The path of the socket on which it answers."""
        return str(self.folder / "docker.sock")

    @property
    def host(self) -> str:
        """What to set as DOCKER_HOST."""
        return f"unix://{self.socket}"

    def tcp_host(self, address: str = "127.0.0.1") -> str:
        """What to set as DOCKER_HOST to reach it on an address that was given as `tcp`."""
        return f"tcp://{f'[{address}]' if ':' in address else address}:{self.ports[address]}"

    @property
    def pid(self) -> int:
        """The process id of dockerd, as the host sees it."""
        for child in children(self._first_child(self.init_pid)):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text() == "dockerd\n":
                    return child
        raise HarnessError(f"dockerd of {self!r} is not running")

    @property
    def init_pid(self) -> int:
        """The first process of the engine's namespaces: the one for `nsenter --target`."""
        return self._first_child(self._process.pid if self._process is not None else 0)

    def inside(self, *command: str) -> list[str]:
        """Wrap a command line so that it runs in the engine's namespaces, no longer than the engine."""
        spaces = ("--net", "--mount", "--pid", "--uts")
        return [program("nsenter"), "--target", str(self.init_pid), *spaces, "--", *command]

    def start(self) -> None:
        """Start it, load the images, make it a swarm's only manager unless it was told to be none."""
        if self._process is not None:
            raise HarnessError(f"{self!r} is running already")
        if reason := why_not(self.release):
            raise HarnessError(reason)
        _sweep()
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=short_temporary_folder()))
        self._folder = folder
        atexit.register(self.stop)
        try:
            self._launch(folder)
            self._check_version(self._await("/_ping").get("api-version", ""))
            self._load_images()
            if self._swarm:
                self._init_swarm()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and everything in it at once; does nothing when it is not running."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        if process is not None:
            for init in children(process.pid) or [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(init, signal.SIGKILL)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_SECONDS)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if folder is not None:
            _remove(folder)

    def end_daemon(self, how: signal.Signals) -> None:
        """End dockerd alone and wait for it and its containerd: its data, its namespaces and its containers stay."""
        pid = self.pid
        ending = [pid, *children(pid)]
        os.kill(pid, how)
        if not _until_done(lambda: not any(Path("/proc", str(one)).exists() for one in ending)):
            raise HarnessError(f"dockerd of {self!r} goes on after {how.name}")

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Let dockerd do nothing within the block; what is sent to it meanwhile waits in the kernel."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            if not _until_done(lambda: _states(pid) == {"T"}):
                raise HarnessError(f"dockerd of {self!r} does not stop")
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):  # It may have been ended.
                os.kill(pid, signal.SIGCONT)

    def start_daemon(self) -> None:
        """Start dockerd again on what the one before it left, and wait until it manages its swarm again.

        One that was left out of a swarm at first may be in any state by now: then it is enough that it answers.
        """
        self._say_start()
        self._await("/services" if self._swarm else "/_ping")

    def docker(self, *args: str, input: bytes | None = None, check: bool = True) -> str:  # noqa: A002
        """Run the `docker` program against it and return what it printed, without the last line's end.

        With `check`, a failure is a HarnessError with what it said; without, its complaints are returned too.
        """
        command, environment = self.docker_command(*args)
        done = subprocess.run(command, env=environment, input=input or b"", capture_output=True, check=False)
        said = done.stdout.decode(errors="replace")
        complaint = done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise HarnessError(f"`docker {' '.join(args)}` on {self!r}: {complaint.strip() or said.strip()}")
        return (said if check else said + complaint).rstrip("\n")

    def docker_command(self, *args: str) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run the `docker` program against it."""
        environment = {"PATH": search_path(self.release), "HOME": str(self.folder), "LC_ALL": "C"}
        return [program("docker"), "--host", self.host, *args], environment

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request as given; return status, headers (names in lower case) and the whole body."""
        sent = dict(headers or {})
        if isinstance(body, Mapping):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = _UnixConnection(self.socket)
        try:
            # An engine that refuses answers without waiting for the whole body.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def _first_child(self, pid: int) -> int:
        for child in children(pid):
            return child
        raise HarnessError(f"{self!r} is not running")

    def _launch(self, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "daemon.json").write_text("{}")
        reading, self._lifeline = os.pipe()
        command = [program("unshare"), *_SPACES, program("tini-static"), "--", "bash", "-c", _BOOT]
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, reading)
            listeners = [stack.enter_context(_listener(address)) for address in self._tcp]
            self.ports = {
                address: listener.getsockname()[1] for address, listener in zip(self._tcp, listeners, strict=True)
            }
            handed = sorted(listener.fileno() for listener in listeners)
            arguments = [*(["--host", "fd://"] if handed else []), *self._arguments]
            log = stack.enter_context(self._log().open("wb"))
            self._process = subprocess.Popen(
                [*command, "bash", str(folder), f"/{folder.name}", self._name, *arguments],
                env={
                    "PATH": search_path(self.release),
                    "HOME": str(folder),
                    "LC_ALL": "C",
                    "HANDED": " ".join(map(str, handed)),
                },
                stdin=reading,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=handed,
                start_new_session=True,
            )
        self._say_start()

    def _say_start(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # The namespaces have ended: waiting for an answer will tell.
            os.write(self._lifeline, b"\n")

    def _log(self) -> Path:
        kept = os.environ.get("SWARMKIT_ENGINE_LOGS")
        if not kept:
            return self.folder / "log"
        Path(kept).mkdir(parents=True, exist_ok=True)
        return Path(kept).absolute() / f"dockerd-{self.release}-{self.folder.name}.log"

    def _await(self, path: str) -> dict[str, str]:
        """Ask until the answer is good; its headers."""
        deadline = time.monotonic() + _START_SECONDS
        began = False
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, headers, _ = self.request("GET", path)
                if status == http.HTTPStatus.OK:
                    return headers
            if began and not self._runs():
                break
            began = began or self._runs()
            time.sleep(0.05)
        log = self._log().read_text(errors="replace").strip().splitlines()
        raise HarnessError(f"{self!r} did not come up; its last words: {' | '.join(log[-3:])}")

    def _runs(self) -> bool:
        try:
            return self.pid > 0
        except HarnessError:
            return False

    def _check_version(self, answered: str) -> None:
        if answered != self.api_version:
            raise HarnessError(f"{self!r} answers API {answered}, not {self.api_version}")

    def _load_images(self) -> None:
        for image in IMAGES:
            self._must("POST", "/images/load?quiet=1", _image_archive(image), "application/x-tar")

    def _init_swarm(self) -> None:
        wanted = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "127.0.0.1"}
        self._must("POST", "/swarm/init", json.dumps(wanted).encode(), "application/json")

    def _must(self, method: str, path: str, body: bytes, content_type: str) -> None:
        status, _, answer = self.request(method, path, body, {"Content-Type": content_type})
        if status >= http.HTTPStatus.BAD_REQUEST or b'"error"' in answer:
            said = answer.decode(errors="replace").strip()
            raise HarnessError(f"{self!r}: {method} {path} answered {status}: {said}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_START_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@functools.cache
def _image_archive(image: str) -> bytes:
    """An image in the form of `docker save`, made here because an import cannot set everything wanted."""
    version = image.partition(":")[2]
    layer = _layer(version)
    config = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin"],
            "Cmd": ["sleep", "86400"],
            "Labels": {"version": version},
            # A container's first process ignores SIGTERM unless it handles it, and busybox's programs do not:
            # this spares every test the grace period.
            "StopSignal": "SIGKILL",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    return _tar(
        files={
            "layer.tar": layer,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _layer(version: str) -> bytes:
    """Make a file system of busybox under all its names, and of a file `/version` that tells images apart."""
    busybox = Path(program("busybox"))
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return _tar(
        folders=("bin", "etc", "root", "tmp", "var"),
        files={
            "version": f"{version}\n".encode(),
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
            "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
            "bin/busybox": busybox.read_bytes(),
        },
        links={f"bin/{name}": "busybox" for name in names if name != "busybox"},
    )


def _tar(files: Mapping[str, bytes], folders: Iterable[str] = (), links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in folders:
            entry = tarfile.TarInfo(path)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if path == "tmp" else 0o755
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(content))
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            tar.addfile(entry)
    return buffer.getvalue()


def children(pid: int) -> list[int]:
    """List the children of a process, oldest first; where several threads have some, thread by thread."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, thread.read_text().split())
    return found


def _states(pid: int) -> set[str]:
    """The states of a process's threads, as the letters of proc(5)."""
    found: set[str] = set()
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            found.add(thread.read_text().rpartition(") ")[2][0])
    return found


def loopback() -> list[str]:
    """List this machine's own addresses: one of each family that it has."""
    found: list[str] = []
    for address in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError), _listener(address):
            found.append(address)
    return found


def _listener(address: str) -> socket.socket:
    """A socket that listens on a free port of an address of this machine."""
    return socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


def short_temporary_folder() -> Path:
    """Say where engines' folders go: the usual place, unless a socket's path would get too long there."""
    usual = Path(tempfile.gettempdir())
    return usual if len(str(usual)) + 40 < _LONGEST_SOCKET_PATH else Path("/", "tmp")


def _sweep() -> None:
    """Remove the folders that killed test runs left; their engines ended with them."""
    for folder in short_temporary_folder().glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove an ended engine's folder and the control groups of its containers."""
    parents = [_CGROUPS / folder.name, *_CGROUPS.glob(f"*/{folder.name}")]
    _until_done(lambda: not [parent for parent in parents if not _remove_cgroups(parent)])
    shutil.rmtree(folder, ignore_errors=True)


def _remove_cgroups(parent: Path) -> bool:
    for group, _, _ in os.walk(parent, topdown=False):
        with contextlib.suppress(OSError):
            Path(group).rmdir()
    return not parent.exists()


def _until_done(attempt: Callable[[], bool]) -> bool:
    """Try again for a moment: the kernel lets go of a killed process's groups a little after its end."""
    deadline = time.monotonic() + _STOP_SECONDS
    while not (done := attempt()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done
