"""Every way to an engine: TCP, TLS, ssh, and the addresses that Docker's own program would find."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarmkit import (
    ContainerSpec,
    EngineUnreachable,
    HostError,
    OutcomeUnknown,
    Replicated,
    RestartPolicy,
    StreamTruncated,
    SwarmClient,
    SwarmkitError,
    TaskTemplate,
    TLSConfig,
    UpdateConfig,
)
from swarmkit.__main__ import main as examine
from tests.harness.certificates import Authority, Certificate
from tests.harness.engine import Engine, children, loopback
from tests.harness.packages import program
from tests.harness.ssh import SshMachine, why_no_ssh
from tests.integration.conftest import unavailable

pytestmark = pytest.mark.anyio


def on(release: str) -> pytest.MarkDecorator:
    """Run the test on one release alone: what it shows is no matter of the release."""
    group = pytest.mark.xdist_group(release)
    return pytest.mark.parametrize("engine", [pytest.param(release, marks=group)], indirect=True)


SPEAKING = TaskTemplate(
    container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", "while :; do echo hello; sleep 0.1; done"]),
    restart_policy=RestartPolicy(delay=timedelta(0)),
)
QUICK = UpdateConfig(parallelism=0, monitor=timedelta(milliseconds=100))
SILENT = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's config folder, empty, and no other wish of the surroundings."""
    for name in ("HOST", "CONTEXT", "TLS", "TLS_VERIFY", "CERT_PATH", "API_VERSION"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def docker(*words: str) -> str:
    """What Docker's own program says in the present environment."""
    done = subprocess.run([program("docker"), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def services_of(engine: Engine) -> str:
    return engine.docker("service", "ls", "--quiet")


async def main_job(client: SwarmClient) -> None:
    """What a service goes through, by way of a question, a change, and an answer that goes on."""
    services = client.services
    created = await services.create(SPEAKING, name="job", update_config=QUICK)
    try:
        assert 1 == (await services.wait("job", timeout=30)).progress.arrived
        with anyio.fail_after(30):
            async with services.logs("job", follow=True) as lines:
                assert ["hello", "hello"] == [(await anext(lines)).message for _ in range(2)]
        await services.update("job", labels={"tier": "front"})
        assert {"tier": "front"} == (await services.inspect("job")).spec.labels
        assert [created.id] == [service.id for service in await services.list(name="job")]
    finally:
        await services.remove("job")
    assert [] == await services.list(name="job")


async def node_of(client: SwarmClient) -> str:
    """Whom the client talks to."""
    (node,) = await client.nodes.list()
    return node.id


@on("28.5")
def test_the_doctor_finds_a_manager(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == examine(["--host", engine.host])
    told = capsys.readouterr().out
    assert f"API          {engine.api_version} is spoken; the engine's newest is {engine.api_version}\n" in told
    assert "swarm        the leader; nodes: 1, managers among them: 1\nservices     can be managed\n" in told


# --- TCP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_main_job_over_tcp(engine: Engine, address: str) -> None:
    if address not in loopback():
        pytest.skip(f"this machine has no {address}")
    async with SwarmClient(engine.tcp_host(address), registry_auth=None) as client:
        await main_job(client)


async def test_docker_host_names_a_port(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.tcp_host())
    async with SwarmClient() as client:
        assert docker("info", "--format", "{{.Swarm.NodeID}}") == await node_of(client)


# --- TLS -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guarded:
    """An engine that speaks TLS only, and only with whom its authority vouches for."""

    engine: Engine
    host: str
    authority: Authority
    client: Certificate
    cert_path: Path
    """The client's files under the names that Docker gives them."""

    @property
    def tls(self) -> TLSConfig:
        return TLSConfig(ca_cert=self.authority.ca, client_cert=self.client.cert, client_key=self.client.key)


@pytest.fixture(scope="module")
def guarded(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder / "authority")
    server, client = authority.server("engine", *loopback()), authority.client("client")
    cert_path = folder / "docker"
    cert_path.mkdir()
    for name, path in (("ca", authority.ca), ("cert", client.cert), ("key", client.key)):
        (cert_path / f"{name}.pem").write_bytes(path.read_bytes())
    files = {"--tlscacert": authority.ca, "--tlscert": server.cert, "--tlskey": server.key}
    arguments = ["--tlsverify", *(str(word) for pair in files.items() for word in pair)]
    with Engine(engine.release, tcp=loopback(), arguments=arguments) as running:
        yield Guarded(running, running.tcp_host(), authority, client, cert_path)


async def test_the_main_job_over_tls(guarded: Guarded) -> None:
    async with SwarmClient(guarded.host, tls=guarded.tls, registry_auth=None) as client:
        await main_job(client)


async def test_tls_by_every_name_the_certificate_has(guarded: Guarded) -> None:
    for address in loopback():
        host = guarded.engine.tcp_host(address)
        for url in (host, host.replace("tcp://", "https://")):
            async with SwarmClient(url, tls=guarded.tls) as client:
                assert guarded.engine.api_version == str(await client.api_version())


@on("26.1")
async def test_tls_from_the_environment(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", guarded.host)
    monkeypatch.setenv("DOCKER_CERT_PATH", str(guarded.cert_path))
    for variable in ("DOCKER_TLS_VERIFY", "DOCKER_TLS"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "1")
            async with SwarmClient() as client:
                assert docker("info", "--format", "{{.Swarm.NodeID}}") == await node_of(client)


def write_contexts(engine: Engine, guarded: Guarded) -> None:
    """Two contexts, of which the one with TLS is current, written by Docker's own program."""
    docker("context", "create", "plain", "--docker", f"host={engine.tcp_host()}")
    files = {name: guarded.cert_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    given = ",".join(f"{name}={path}" for name, path in files.items())
    docker("context", "create", "guarded", "--docker", f"host={guarded.host},{given}")
    docker("context", "use", "guarded")


@on("20.10")
async def test_the_main_job_through_the_current_context(engine: Engine, guarded: Guarded) -> None:
    write_contexts(engine, guarded)
    async with SwarmClient(registry_auth=None) as client:
        await main_job(client)


@on("26.1")
async def test_the_engine_is_the_one_that_dockers_own_program_talks_to(
    engine: Engine, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contexts(engine, guarded)
    plain, secure = {"DOCKER_HOST": engine.tcp_host()}, {"DOCKER_HOST": guarded.host}
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(guarded.cert_path)}
    situations: list[tuple[dict[str, str], Engine]] = [
        ({}, guarded.engine),
        ({"DOCKER_CONTEXT": "plain"}, engine),
        ({"DOCKER_CONTEXT": "guarded"}, guarded.engine),
        (plain, engine),
        (plain | {"DOCKER_CONTEXT": "guarded"}, engine),
        (plain | {"DOCKER_CONTEXT": "default"}, engine),
        (secure | tls, guarded.engine),
        (secure | tls | {"DOCKER_CONTEXT": "plain"}, guarded.engine),
        (tls | {"DOCKER_CONTEXT": "plain"}, engine),
        (tls, guarded.engine),
    ]
    nodes = {one: one.docker("info", "--format", "{{.Swarm.NodeID}}") for one in (engine, guarded.engine)}
    for environ, expected in situations:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            theirs = docker("info", "--format", "{{.Swarm.NodeID}}")
            async with SwarmClient() as client:
                assert (environ, theirs, nodes[expected]) == (environ, await node_of(client), theirs)


@on("26.1")
async def test_a_context_by_argument_beats_the_environment(
    engine: Engine, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contexts(engine, guarded)
    monkeypatch.setenv("DOCKER_HOST", engine.tcp_host())
    async with SwarmClient(context="guarded") as client:
        theirs = docker("--context", "guarded", "info", "--format", "{{.Swarm.NodeID}}")
        assert theirs == await node_of(client)


@on("26.1")
async def test_a_context_that_wants_no_verification_gets_it_from_the_argument_alone(guarded: Guarded) -> None:
    files = f"cert={guarded.cert_path / 'cert.pem'},key={guarded.cert_path / 'key.pem'}"
    docker("context", "create", "careless", "--docker", f"host={guarded.host},{files},skip-tls-verify=true")
    assert docker("--context", "careless", "version", "--format", "{{.Server.Version}}")
    with pytest.raises(HostError, match=r"tls=TLSConfig\(verify=False\)"):
        SwarmClient(context="careless")
    async with SwarmClient(context="careless", tls=TLSConfig(verify=False)) as client:
        assert await node_of(client)


def _unknown_authority(guarded: Guarded, folder: Path) -> SwarmClient:
    other = TLSConfig(ca_cert=Authority(folder / "other").ca)
    return SwarmClient(
        guarded.host, tls=other.filled_from(guarded.tls), api_version=guarded.engine.api_version, registry_auth=None
    )


def _no_client_certificate(guarded: Guarded, folder: Path) -> SwarmClient:
    return SwarmClient(
        guarded.host,
        tls=TLSConfig(ca_cert=guarded.authority.ca),
        api_version=guarded.engine.api_version,
        registry_auth=None,
    )


def _client_of_another_authority(guarded: Guarded, folder: Path) -> SwarmClient:
    stranger = Authority(folder / "other").client("stranger")
    tls = TLSConfig(ca_cert=guarded.authority.ca, client_cert=stranger.cert, client_key=stranger.key)
    return SwarmClient(guarded.host, tls=tls, api_version=guarded.engine.api_version, registry_auth=None)


def _other_host_name(guarded: Guarded, folder: Path) -> SwarmClient:
    host = guarded.host.replace("127.0.0.1", "localhost")
    return SwarmClient(host, tls=guarded.tls, api_version=guarded.engine.api_version, registry_auth=None)


def _system_certificates(guarded: Guarded, folder: Path) -> SwarmClient:
    tls = TLSConfig(client_cert=guarded.client.cert, client_key=guarded.client.key)
    return SwarmClient(guarded.host, tls=tls, api_version=guarded.engine.api_version, registry_auth=None)


async def refused(engine: Engine, client: SwarmClient, match: str) -> None:
    """Neither a question nor a change gets through, each says why, and nothing has happened."""
    ways: list[Callable[[], Any]] = [
        lambda: client.services.create(SILENT, name="refused", mode=Replicated(replicas=0)),
        lambda: client.services.remove("refused"),
        client.services.list,
        lambda: client.services.logs("refused").__aenter__(),
    ]
    async with client:
        for way in ways:
            with pytest.raises(EngineUnreachable, match=match):
                await way()
    assert services_of(engine) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (_unknown_authority, "TLS: certificate verify failed"),
        (_system_certificates, "TLS: certificate verify failed"),
        (_other_host_name, "TLS: certificate verify failed"),
        (_no_client_certificate, "TLS: .*(certificate required|bad certificate)"),
        (_client_of_another_authority, "TLS: .*(unknown ca|bad certificate)|EOF occurred in violation of protocol"),
    ],
)
async def test_tls_that_does_not_come_about_is_an_engine_out_of_reach(
    guarded: Guarded, tmp_path: Path, wrong: Callable[[Guarded, Path], SwarmClient], words: str
) -> None:
    await refused(guarded.engine, wrong(guarded, tmp_path), words)


async def test_without_verification_only_by_argument(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path / "other").ca
    own = {"client_cert": guarded.client.cert, "client_key": guarded.client.key}
    async with SwarmClient(guarded.host, tls=TLSConfig(ca_cert=other, **own, verify=False)) as client:
        assert await node_of(client)

    # Docker's own program does not verify where DOCKER_TLS_VERIFY is not set: here it makes no difference.
    (guarded_path := tmp_path / "certs").mkdir()
    for name, path in (("ca", other), ("cert", guarded.client.cert), ("key", guarded.client.key)):
        (guarded_path / f"{name}.pem").write_bytes(path.read_bytes())
    monkeypatch.setenv("DOCKER_HOST", guarded.host)
    monkeypatch.setenv("DOCKER_CERT_PATH", str(guarded_path))
    monkeypatch.setenv("DOCKER_TLS", "1")
    async with SwarmClient() as client:
        with pytest.raises(EngineUnreachable, match="TLS: certificate verify failed"):
            await client.services.list()


async def test_plain_http_to_a_port_that_speaks_tls_says_so(guarded: Guarded) -> None:
    async with SwarmClient(guarded.host, api_version=guarded.engine.api_version, registry_auth=None) as client:
        for way in (
            client.services.list,
            lambda: client.services.create(SILENT, name="refused", mode=Replicated(replicas=0)),
        ):
            with pytest.raises(EngineUnreachable, match="that port wants TLS"):
                await way()
    assert services_of(guarded.engine) == ""


async def test_tls_to_a_port_that_speaks_plain_http_says_so(engine: Engine, guarded: Guarded) -> None:
    client = SwarmClient(engine.tcp_host(), tls=guarded.tls, api_version=engine.api_version, registry_auth=None)
    await refused(engine, client, "TLS: (wrong version number|record layer failure)")


# --- ssh -------------------------------------------------------------------------------------------------------------


def tunnels(*, ended: bool = True) -> list[int]:
    """The `ssh` programs of this process, also those that have ended and are still to be reaped."""
    found: list[int] = []
    for child in children(os.getpid()):
        try:
            _, _, rest = Path(f"/proc/{child}/stat").read_text().partition("(")
        except OSError:
            continue
        name, _, state = rest.rpartition(") ")
        if name == "ssh" and (ended or state[0] != "Z"):
            found.append(child)
    return found


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not done():
            await anyio.sleep(0.01)


def ended(tunnel: int) -> bool:
    return tunnel not in tunnels(ended=False)


async def kill(tunnel: int) -> None:
    os.kill(tunnel, signal.SIGKILL)
    await until(partial(ended, tunnel))


@pytest.fixture(scope="module")
def machine(engine: Engine) -> Iterator[SshMachine]:
    if reason := why_no_ssh():
        unavailable(reason)
    with SshMachine(engine) as running:
        yield running


@pytest.fixture
async def ssh(machine: SshMachine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SshMachine]:
    """A machine that this process's `ssh` finds; afterwards no `ssh` of its clients is left, alive or dead."""
    monkeypatch.setenv("PATH", machine.path)
    assert tunnels() == []
    yield machine
    await until(lambda: tunnels() == [])


@on("28.5")
async def test_the_main_job_over_ssh(ssh: SshMachine) -> None:
    async with SwarmClient("ssh://engine", registry_auth=None) as client:
        await main_job(client)


@on("28.5")
async def test_the_main_job_over_ssh_with_user_port_and_socket(ssh: SshMachine) -> None:
    async with SwarmClient(f"{ssh.address}{ssh.engine.socket}", registry_auth=None) as client:
        await main_job(client)


@on("28.5")
async def test_ssh_from_the_environment_and_from_a_context(ssh: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    docker("context", "create", "remote", "--docker", f"host={ssh.address}")
    for name, value in (("DOCKER_HOST", "ssh://engine"), ("DOCKER_CONTEXT", "remote")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            async with SwarmClient() as client:
                assert docker("info", "--format", "{{.Swarm.NodeID}}") == await node_of(client)


@on("28.5")
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("ssh://stranger", "ssh says: .*Host key verification failed"),
        ("ssh://refused", "ssh says: .*Permission denied"),
        ("ssh://root@127.0.0.1:1", "ssh says: .*Connection refused"),
        ("ssh://engine/nowhere/docker.sock", "ssh says: .*nowhere/docker.sock.*no such file"),
    ],
)
async def test_ssh_that_gets_nowhere_is_an_engine_out_of_reach(ssh: SshMachine, host: str, words: str) -> None:
    await refused(ssh.engine, SwarmClient(host, registry_auth=None), f"(?s){words}")
    # Without a question before it, nobody can tell how far a change has come that ssh took.
    async with SwarmClient(host, api_version=ssh.engine.api_version, registry_auth=None) as pinned:
        with pytest.raises((EngineUnreachable, OutcomeUnknown), match=f"(?s){words}"):
            await pinned.services.remove("refused")


@on("28.5")
async def test_twenty_calls_at_once_share_four_tunnels(ssh: SshMachine) -> None:
    seen: set[int] = set()
    async with SwarmClient("ssh://engine") as client:
        await client.api_version()
        async with anyio.create_task_group() as watching:

            async def watch() -> None:
                while True:
                    seen.update(tunnels())
                    await anyio.sleep(0.005)

            watching.start_soon(watch)
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(client.services.list)
            watching.cancel_scope.cancel()
        assert 1 < len(seen) <= 4
        assert set(tunnels()) <= seen


@on("28.5")
async def test_a_tunnel_that_dies_under_a_stream_is_a_truncated_stream(ssh: SshMachine) -> None:
    async with SwarmClient("ssh://engine", registry_auth=None) as client:
        await client.services.create(SPEAKING, name="speaking", update_config=QUICK)
        try:
            await client.services.wait("speaking", timeout=30)
            for victim in ("here", "there"):
                before = set(tunnels())
                async with client.services.logs("speaking", follow=True) as lines:
                    with anyio.fail_after(30), pytest.raises(StreamTruncated):
                        assert "hello" == (await anext(lines)).message
                        (tunnel,) = set(tunnels()) - before
                        await kill(tunnel if victim == "here" else _sessions(ssh)[-1])
                        async for line in lines:
                            assert "hello" == line.message
        finally:
            await client.services.remove("speaking")


def _sessions(machine: SshMachine) -> list[int]:
    """The processes of `docker system dial-stdio` on the other side, oldest first."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"docker\0system\0dial-stdio" in (entry / "cmdline").read_bytes():
                environ = (entry / "environ").read_bytes()
                if f"DOCKER_HOST={machine.engine.host}".encode() in environ and b"SSH_CONNECTION=" in environ:
                    found.append(int(entry.name))
        except OSError:
            continue
    return sorted(found)


@on("28.5")
async def test_a_tunnel_that_dies_between_calls_is_replaced(ssh: SshMachine) -> None:
    async with SwarmClient("ssh://engine", registry_auth=None) as client:
        for victim in ("here", "there"):
            await client.services.list()
            (tunnel,) = tunnels(ended=False)
            if victim == "here":
                await kill(tunnel)
            else:
                (session,) = _sessions(ssh)
                os.kill(session, signal.SIGKILL)
                await until(partial(ended, tunnel))
            await client.services.list()
            assert [tunnel] != tunnels(ended=False)
        await kill(tunnels(ended=False)[0])
        await client.services.create(SILENT, name="changed", mode=Replicated(replicas=0))
        await client.services.remove("changed")


@on("28.5")
async def test_a_call_that_is_cancelled_leaves_no_tunnel(ssh: SshMachine) -> None:
    async with SwarmClient("ssh://engine", api_version="1.41") as client:
        for pause in (0, 0.01, 0.05, 0.1, 0.2):
            async with anyio.create_task_group() as calls:
                for _ in range(3):
                    calls.start_soon(_ignoring_errors, client)
                await until(lambda: tunnels() != [])
                await anyio.sleep(pause)
                calls.cancel_scope.cancel()
        assert [] == await client.services.list()
        assert len(tunnels(ended=False)) <= 4


async def _ignoring_errors(client: SwarmClient) -> None:
    while True:
        try:
            await client.services.list()
        except SwarmkitError:
            raise AssertionError("a call fails because another one was cancelled") from None
