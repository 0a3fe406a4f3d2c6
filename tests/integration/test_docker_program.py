"""Docker's own program, of each release, does its work on the embedded engine as that is served on a socket."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from swarmkit.testing import FakeEngine
from tests.harness.packages import RELEASES, HarnessError, program, search_path
from tests.integration.conftest import unavailable

pytestmark = pytest.mark.anyio

QUICK = "--detach=false --quiet --update-monitor 50ms --update-parallelism 0"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("release", RELEASES)
async def test_services_are_managed_by_the_program(release: str, tmp_path: Path) -> None:
    try:
        found = program("docker", release)
    except HarnessError as error:
        unavailable(str(error))
    engine = FakeEngine(RELEASES[release].api_version)
    engine.add_node("worker-1")
    for image in ("busybox:1.36", "busybox:1.37"):
        engine.add_image(image)
    engine.run_tasks(image="busybox:1.36", output="ready\n")
    environment = {"PATH": search_path(release), "HOME": str(tmp_path), "LC_ALL": "C"}
    async with engine.serve() as host:

        async def docker(words: str, *more: str, input: bytes = b"") -> str:  # noqa: A002
            command = [found, "--host", host, *words.split(), *more]
            with anyio.fail_after(30):
                done = await anyio.run_process(command, input=input, env=environment)
            return done.stdout.decode().rstrip("\n")

        for kind in ("secret", "config"):
            await docker(f"{kind} create s -", input=b"hidden")
        await docker("network create --driver overlay front")
        await docker(
            f"service create {QUICK} --name web --replicas 2 --secret s --config s --network front busybox:1.36"
        )
        assert "web 2/2" == await docker("service ls --format", "{{.Name}} {{.Replicas}}")
        assert ["web.1", "web.2"] == sorted((await docker("service ps web --format", "{{.Name}}")).split())
        assert "Monitoring Period: 50ms" in await docker("service inspect --pretty web")
        assert ["ready"] * 2 == (await docker("service logs --raw web")).split()
        await docker(f"service update {QUICK} --image busybox:1.37 web")
        assert "busybox:1.37@sha256:" in await docker("service inspect web")
        await docker("service rollback --detach web")
        assert "busybox:1.36" == await docker("service ls --format", "{{.Image}}")
        await docker("service scale --detach web=3")
        assert "engine-" in await docker("node inspect self --format", "{{.Description.Hostname}}")
        assert 2 == len((await docker("node ls -q")).split())
        assert "manager" in await docker("info --format", "{{if .Swarm.ControlAvailable}}manager{{end}}")
        assert "service create" in await docker("events --since 1m --until 0s")
        await docker("service rm web")
        for kind in ("secret", "config"):
            assert "s" == await docker(f"{kind} ls --format", "{{.Name}}")
            await docker(f"{kind} rm s")
        await docker("network rm front")
        assert "front" not in await docker("network ls --format", "{{.Name}}")
        assert "left the swarm" in await docker("swarm leave --force")
