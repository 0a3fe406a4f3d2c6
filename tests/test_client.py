"""The client itself: views of it with other options, and what it says it is."""

from __future__ import annotations

import pytest

from swarmkit import ClientClosed, ContainerSpec, EngineTimeout, RegistryAuth, SwarmClient, TaskTemplate
from swarmkit.testing import FakeEngine
from tests.stub import StubEngine, answer, hang

pytestmark = pytest.mark.anyio

SILENT = TaskTemplate(container_spec=ContainerSpec("registry.example/app:1"))


async def test_a_view_has_its_own_options_and_leaves_the_client_its() -> None:
    engine = FakeEngine()
    client = engine.client()
    account = RegistryAuth(username="ann", password="secret", server="registry.example")
    view = client.with_options(registry_auth=account)
    await client.services.create(SILENT, name="without")
    await view.services.create(SILENT, name="with")
    await view.with_options(registry_auth=None).services.create(SILENT, name="without-again")
    stored = engine.registry_auth("with")
    assert stored is not None
    assert ("ann", None, None) == (
        stored["username"],
        engine.registry_auth("without"),
        engine.registry_auth("without-again"),
    )


async def test_a_view_pins_images_where_the_client_does_not() -> None:
    client = FakeEngine().client()
    await client.services.create(SILENT, name="tag")
    await client.with_options(pin_digest="require").services.create(SILENT, name="digest")
    images = {service.name: service.spec.image for service in await client.services.list()}
    assert images["tag"] == "registry.example/app:1"
    assert images["digest"].startswith("registry.example/app:1@sha256:")


async def test_a_view_has_less_time_over_the_same_connections() -> None:
    with StubEngine(lambda request: answer([]) if "services" in request.path else hang, keeps=True) as stub:
        async with SwarmClient(stub.host, api_version="1.41") as client:
            view = client.with_options(timeout=0.05)
            assert [] == await client.services.list()
            assert [] == await view.services.list()
            assert 1 == stub.connections
            with pytest.raises(EngineTimeout):
                await view.nodes.list()
            with pytest.raises(ValueError, match="timeout"):
                client.with_options(timeout=0)
        with pytest.raises(ClientClosed):
            await view.services.list()


async def test_closing_a_view_closes_the_client() -> None:
    client = FakeEngine().client()
    async with client.with_options(timeout=5):
        pass
    with pytest.raises(ClientClosed):
        await client.services.list()


def test_a_client_says_where_it_connects_and_never_who_logs_in() -> None:
    assert "SwarmClient(tcp://m1:2375, ssh://m2)" == repr(SwarmClient(["tcp://m1:2375", "ssh://ann@m2"]))
    assert "SwarmClient(the engine)" == repr(FakeEngine().client())
