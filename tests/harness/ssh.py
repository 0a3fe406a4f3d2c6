"""Owns a machine behind ssh on which an engine's `docker` program works, and an `ssh` program that finds it.

Must not know what is sent through it. The machine is an sshd on the host's own loopback, with throw-away keys and
namespaces in which the account that logs in has a home of its own; when its first process ends, so do all sessions.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.harness.engine import Engine, children
from tests.harness.packages import HarnessError, program, search_path

if TYPE_CHECKING:
    from types import TracebackType

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_TRIES: Final = 5
_ADDRESS: Final = "127.0.0.1"
_SPACES: Final = ("--mount", "--pid", "--propagation=private", "--mount-proc", "--fork", "--kill-child")

# As with an engine, standard input is the owner's pipe: when the owner dies reading ends, and so does sshd.
_BOOT: Final = r"""
set -eu
root=$1
shift
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
mount --bind "$root/passwd" /etc/passwd
mount --bind "$root/shadow" /etc/shadow
exec 3<&0 </dev/null
(read -r _ <&3 || kill -KILL $$) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""

_SERVER: Final = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv "PATH={path}" "DOCKER_HOST={docker_host}"
"""

# `engine` is how people write it who keep such things in their own configuration; the other names are refused,
# one by the client because nobody vouches for the key, one by the server because it does not know the user's.
_CLIENT: Final = """\
Host engine stranger refused
    HostName {address}
    Port {port}
    User root
Host stranger
    HostKeyAlias stranger
Host refused
    IdentityFile {folder}/other_key
Host engine stranger {address}
    IdentityFile {folder}/user_key
Host *
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


def why_no_ssh() -> str | None:
    """Say in one sentence why there can be no such machine here; None when there can."""
    for name, package in (("sshd", "openssh-server"), ("ssh", "openssh-client"), ("ssh-keygen", "openssh-client")):
        with contextlib.suppress(HarnessError):
            program(name)
            continue
        return f"`{name}` is missing, which Debian's package {package} holds"
    return None


class SshMachine:
    """A machine behind ssh, beside an engine which it cannot outlive; `with SshMachine(engine) as machine: …`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    def __repr__(self) -> str:
        return f"SshMachine({self.engine!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """Its files, within the engine's folder."""
        return self.engine.folder / "ssh"

    @property
    def address(self) -> str:
        """Where it is, with user and port, as in `ssh://root@127.0.0.1:2222`; also known as `ssh://engine`."""
        return f"ssh://root@{_ADDRESS}:{self.port}"

    @property
    def path(self) -> str:
        """A PATH whose `ssh` knows this machine, and the machines `stranger` and `refused`."""
        return f"{self.folder / 'bin'}:{os.environ.get('PATH', os.defpath)}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        if reason := why_no_ssh():
            raise HarnessError(reason)
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "home").mkdir()
        for name in ("host_key", "user_key", "other_key"):
            command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.folder / name]
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
        (self.folder / "authorized_keys").write_bytes((self.folder / "user_key.pub").read_bytes())
        self._write_accounts()
        # No program can be told to listen on whatever port is free: between looking and listening it may be taken.
        for _ in range(_TRIES):
            if self._launch():
                return
        said = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        raise HarnessError(f"{self!r} did not come up; its last words: {' | '.join(said[-3:])}")

    def stop(self) -> None:
        """End it and every session; does nothing when it is not running."""
        self._end()
        with contextlib.suppress(HarnessError):  # The engine may have ended first, and its folder with it.
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        process, self._process = self._process, None
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

    def _launch(self) -> bool:
        with socket.create_server((_ADDRESS, 0)) as listener:
            self.port = listener.getsockname()[1]
        self._write_settings()
        reading, self._lifeline = os.pipe()
        boot = [program("unshare"), *_SPACES, program("tini-static"), "--", "sh", "-c", _BOOT, "sh", str(self.folder)]
        try:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*boot, program("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")],
                    env={"PATH": search_path(self.engine.release), "LC_ALL": "C"},
                    stdin=reading,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        finally:
            os.close(reading)
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((_ADDRESS, self.port), timeout=1) as sock:
                if sock.recv(4) == b"SSH-":
                    return True
            time.sleep(0.05)
        self._end()
        return False

    def _write_accounts(self) -> None:
        """Write accounts as here, but the one that logs in is certainly not locked, and nobody's profile is run."""
        others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
        own = f"root:x:0:0:root:{self.folder / 'home'}:/bin/sh"
        (self.folder / "passwd").write_text("\n".join([own, *others, ""]))
        shadow = self.folder / "shadow"
        shadow.touch(0o600)
        shadow.write_text("root:*:20000:0:99999:7:::\n")

    def _write_settings(self) -> None:
        known = {"address": _ADDRESS, "port": self.port, "folder": self.folder}
        # The `docker` program comes with the oldest engine alone, and serves all of them.
        path, docker_host = search_path("20.10"), self.engine.host
        (self.folder / "sshd_config").write_text(_SERVER.format(**known, path=path, docker_host=docker_host))
        (self.folder / "ssh_config").write_text(_CLIENT.format(**known))
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        (self.folder / "known_hosts").write_text(f"[{_ADDRESS}]:{self.port} {kind} {key}\n")
        wrapper = self.folder / "bin" / "ssh"
        config = shlex.quote(str(self.folder / "ssh_config"))
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(program("ssh"))} -F {config} "$@"\n')
        wrapper.chmod(0o755)
