"""Owns the engines' files: the Debian packages that hold them, where these are unpacked, what they need.

Must not know how an engine is started. Nothing is installed into the system: packages are downloaded by name
with an apt configuration of its own and unpacked into a cache folder, so no service ever starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

HOW_TO_GET: Final = "as root on Debian 12 run `python -m tests.harness fetch`"

_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM_TOOLS: Final = {
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "hostname": "hostname",
}


class HarnessError(Exception):
    """An engine cannot be fetched, started or used here; the message is one sentence for a person."""


@dataclass(frozen=True)
class Release:
    """One engine release: what the tests call it, what it must answer, and where its files come from."""

    name: str
    api_version: str
    suite: str


RELEASES: Final[dict[str, Release]] = {
    release.name: release
    for release in (
        Release("20.10", api_version="1.41", suite="bookworm"),
        Release("26.1", api_version="1.45", suite="trixie"),
        Release("28.5", api_version="1.51", suite="forky"),
    )
}

# The home suite's copy of these serves every engine: a newer runc wants a newer C library than Debian 12 has.
# Of the engines' packages, only the oldest still contains the `docker` program; the newer ones' is beside.
_TOOLS: Final = "tools"
_CLI: Final = "-docker"
_HOME_SUITE: Final = "bookworm"
_TOOL_PACKAGES: Final = ("runc", "tini", "busybox-static", "docker-registry")


@dataclass(frozen=True)
class _Bundle:
    """Packages that are unpacked into one folder, each as `package/suite`."""

    folder: str
    packages: tuple[str, ...]


def _bundles() -> list[_Bundle]:
    engines = [
        # docker.io's `docker-init` is a link to tini's program in the same folder.
        _Bundle(name, (f"docker.io/{release.suite}", f"containerd/{release.suite}", f"tini/{_HOME_SUITE}"))
        for name, release in RELEASES.items()
    ]
    programs = [
        _Bundle(f"{name}{_CLI}", (f"docker-cli/{release.suite}",))
        for name, release in RELEASES.items()
        if release.suite != _HOME_SUITE
    ]
    return [*engines, *programs, _Bundle(_TOOLS, tuple(f"{package}/{_HOME_SUITE}" for package in _TOOL_PACKAGES))]


def engines_dir() -> Path:
    """Where unpacked engines are kept between runs."""
    if chosen := os.environ.get("SWARMKIT_ENGINES_DIR"):
        return Path(chosen).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "docker-swarmkit" / "engines"


def search_path(release: str) -> str:
    """The PATH on which an engine finds its own programs first, then the shared tools, then the system's."""
    base = engines_dir()
    places = (release, f"{release}{_CLI}", _TOOLS)
    folders = [base / name / part for name in places for part in ("usr/sbin", "usr/bin", "bin")]
    return ":".join([*map(str, folders), _SYSTEM_PATH])


def program(name: str, release: str = "20.10") -> str:
    """The full path of a program, as that release's engine would find it."""
    found = shutil.which(name, path=search_path(release))
    if found is None:
        raise HarnessError(f"`{name}` is not there: {HOW_TO_GET}")
    return found


def why_not(release: str) -> str | None:
    """Say in one sentence why this release cannot run here; None when it can."""
    obstacle = next(_obstacles(release), None)
    return obstacle and f"{obstacle}; {HOW_TO_GET}"


def _obstacles(release: str) -> Iterator[str]:
    """Look for obstacles in an order in which each step may rely on those before it."""
    if sys.platform != "linux":
        yield "real engines need Linux"
    if os.geteuid() != 0:
        yield "real engines need root"
    wanted = [bundle.folder for bundle in _bundles() if bundle.folder.removesuffix(_CLI) in (release, _TOOLS)]
    if not all((engines_dir() / folder).is_dir() for folder in wanted):
        yield "the engines are not fetched"
    for tool, package in _SYSTEM_TOOLS.items():
        if shutil.which(tool, path=_SYSTEM_PATH) is None:
            yield f"`{tool}` is missing, which Debian's package {package} holds"
    try:
        _run([program("unshare"), "--net", "--mount", "--pid", "--uts", "--fork", "true"])
    except HarnessError as error:
        yield f"namespaces are refused here ({error})"
    try:
        for name in ("dockerd", "containerd", "runc"):
            _run([program(name, release), "--version"])
    except HarnessError as error:
        yield f"engine {release} does not run here ({error})"


def fetch() -> dict[str, str]:
    """Bring every engine into the cache folder; what is already there is kept.

    Returns for each folder what it holds, as `package version` joined by commas.
    """
    base = engines_dir()
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / ".lock"):
        missing = [bundle for bundle in _bundles() if not (base / bundle.folder).is_dir()]
        if missing:
            # Beside the final folders, so that the rename stays within one file system.
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=base) as scratch:
                apt = _Apt(Path(scratch))
                for bundle in missing:
                    _unpack(apt, bundle, Path(scratch) / bundle.folder, base / bundle.folder)
        return {bundle.folder: (base / bundle.folder / "PACKAGES").read_text() for bundle in _bundles()}


def _unpack(apt: _Apt, bundle: _Bundle, scratch: Path, target: Path) -> None:
    """Download and unpack one bundle, so that its folder appears whole or not at all."""
    scratch.mkdir()
    held: list[str] = []
    for wanted in bundle.packages:
        archive = apt.download(wanted)
        package = wanted.split("/")[0]
        version = _run(["dpkg-deb", "--field", str(archive), "Version"]).strip()
        release = bundle.folder.removesuffix(_CLI)
        if package in ("docker.io", "docker-cli") and not version.startswith(f"{release}."):
            raise HarnessError(f"{wanted} is no longer {release} but {version}: see {__name__}")
        _run(["dpkg-deb", "--extract", str(archive), str(scratch)])
        archive.unlink()
        held.append(f"{package} {version}")
    (scratch / "PACKAGES").write_text(", ".join(held))
    scratch.chmod(0o755)
    scratch.rename(target)


class _Apt:
    """An apt that knows the suites of all engines, apart from the system's own lists and cache."""

    def __init__(self, scratch: Path) -> None:
        self._folder = scratch / "apt"
        for part in ("lists/partial", "cache/archives/partial", "downloads"):
            (self._folder / part).mkdir(parents=True)
        trust = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        mirror = _mirror()
        suites = sorted({release.suite for release in RELEASES.values()})
        (self._folder / "sources.list").write_text("".join(f"deb {trust}{mirror} {suite} main\n" for suite in suites))
        self._get("update")

    def download(self, wanted: str) -> Path:
        downloads = self._folder / "downloads"
        self._get("download", wanted)
        (archive,) = downloads.glob("*.deb")
        return archive

    def _get(self, *words: str) -> None:
        options = {
            "Dir::Etc::SourceList": self._folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            # Without it every download reads all lists again; images of Debian turn it off.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # The unprivileged download user cannot write into a private temporary folder.
            "APT::Sandbox::User": "root",
        }
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        _run(["apt-get", "-q", *flags, *words], cwd=self._folder / "downloads")


def _mirror() -> str:
    """The Debian mirror that the system itself uses, asked of its own apt."""
    answer = _run(["apt-get", "indextargets", "--format", "$(RELEASE) $(CODENAME) $(REPO_URI)", "Created-By: Packages"])
    for line in answer.splitlines():
        release, codename, uri = line.split(" ", 2)
        if _HOME_SUITE in (release, codename):
            return uri
    raise HarnessError(f"apt's sources do not name Debian 12 ({_HOME_SUITE}), from whose mirror the engines come")


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        raise HarnessError(f"`{command[0]}` is missing: engines are fetched on Debian 12 only") from None
    if done.returncode != 0:
        raise HarnessError(f"`{command[0]} … {command[-1]}` failed: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
