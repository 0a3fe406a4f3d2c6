"""Secrets stay secret: whatever goes right or wrong with credentials, none is in anything that can be seen."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from swarmkit import (
    IPAM,
    ContainerSpec,
    CredentialsError,
    NetworkCreateRequest,
    OutcomeUnknown,
    RegistryAuth,
    SwarmkitError,
    TaskTemplate,
)
from swarmkit.testing import FakeEngine

from .helpers import put_helper
from .secrecy import Watch, watching

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "registry.example:5000"
SECRET = "correct horse battery staple"


def template(image: str = f"{PLACE}/app:1") -> TaskTemplate:
    return TaskTemplate(container_spec=ContainerSpec(image))


def encoded(user: str = "me") -> str:
    return b64encode(f"{user}:{SECRET}".encode()).decode()


ENTRY = {"auths": {PLACE: {"auth": encoded()}}}
ENVIRONMENTS: dict[str, tuple[object, str, object]] = {
    "a file": (ENTRY, "", None),
    "a file cut short": (json.dumps(ENTRY)[:-5], "", None),
    "a malformed entry": ({"auths": {PLACE: {"auth": encoded()[:-3] + "*"}}}, "", None),
    "an entry of another type": ({"auths": {PLACE: {"password": [SECRET]}}}, "", None),
    "a token": ({"auths": {PLACE: {"identitytoken": SECRET, "registrytoken": SECRET}}}, "", None),
    "a helper": ({"credsStore": "test"}, f'echo \'{{"Username":"me","Secret":"{SECRET}"}}\'', None),
    "a helper's token": ({"credsStore": "test"}, f'echo \'{{"Username":"<token>","Secret":"{SECRET}"}}\'', None),
    "a helper that fails": ({"credsStore": "test", **ENTRY}, f"echo {SECRET}; echo {SECRET} >&2; exit 1", None),
    "a helper that says too much": ({"credsStore": "test"}, f"yes '{SECRET}'", None),
    "a helper that says nonsense": ({"credsStore": "test"}, f'echo \'{{"Secret": "{SECRET}\'', None),
    "the environment": ({}, "", ENTRY),
    "a broken environment": ({}, "", json.dumps(ENTRY)[:-5]),
    "an environment with more": ({}, "", {**ENTRY, SECRET: 1}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("password", [SECRET, "another password"], ids=["right", "wrong"])
async def test_no_password_is_in_anything_that_can_be_seen(
    name: str, password: str, nothing_shows: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, script, environment = ENVIRONMENTS[name]
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    put_helper(tmp_path / "bin", "test", script, monkeypatch)
    if environment is not None:
        text = environment if isinstance(environment, str) else json.dumps(environment)
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)
    RegistryAuth(username="me", password=SECRET)  # so that it is looked for where none is found, too
    engine = FakeEngine()
    engine.protect_registry(PLACE, username="me", password=password)
    options: list[Any] = ["config", RegistryAuth(username="me", password=SECRET)]
    async with engine.client(registry_auth="config") as client:
        for number, option in enumerate(options):
            for pin in ("try", "require"):
                one = f"app-{number}-{pin}"
                with suppress(SwarmkitError):  # what goes wrong is looked at as well
                    await client.services.create(template(), name=one, registry_auth=option, pin_digest=pin)
                    await client.services.update(one, task_template=template(f"{PLACE}/app:2"))
                    await client.services.refresh_registry_auth(one, registry_auth=option)
                    await client.services.wait(one, timeout=20)
        engine.lose_answer()
        with suppress(SwarmkitError):
            await client.services.create(template(), name="lost")
    seen = nothing_shows.look()
    assert {"log", "repr", "str", "list", "pickle", "exception"} <= seen.keys()
    assert SECRET in nothing_shows.secrets


@pytest.mark.anyio
async def test_no_option_of_a_network_is_in_anything_that_can_be_seen(nothing_shows: Watch) -> None:
    nothing_shows.secrets.add(SECRET)
    engine = FakeEngine()
    hidden = {"psk": SECRET}
    async with engine.client() as client:
        created = await client.networks.create("back", options=hidden, ipam=IPAM(options=hidden))
        network = await client.networks.inspect(created.id)
        assert hidden.items() <= (network.options or {}).items()
        for one in (created, network, await client.networks.list(), NetworkCreateRequest(options=hidden)):
            nothing_shows.shown += [("repr", repr(one)), ("str", str(one))]
        broken = IPAM().model_copy(update={"options": {SECRET: 1}})
        for name, ipam in (("back", IPAM(options=hidden)), ("other", broken)):
            with pytest.raises(SwarmkitError):
                await client.networks.create(name, options=hidden, ipam=ipam)
        with pytest.raises(ValidationError) as caught:
            await client.networks.create("other", options={"psk": [SECRET]})  # type: ignore[dict-item] # pyright: ignore
        nothing_shows.shown.append(("exception", str(caught.value)))
        engine.lose_answer()
        with pytest.raises(OutcomeUnknown):
            await client.networks.create("lost", options=hidden)


@pytest.mark.parametrize("text", [SECRET, encoded(), RegistryAuth(username="me", password=SECRET).header()])
@pytest.mark.parametrize("way", ["log", "error", "cause", "warning"])
def test_the_watch_is_awake(way: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, watching(monkeypatch) as watch:
        RegistryAuth(username="me", password=SECRET)
        watch.look()
        if way == "log":
            logging.getLogger("swarmkit.anything").debug("sent %s", text)
        elif way == "error":
            CredentialsError(f"no {text}")
        elif way == "cause":
            error = CredentialsError("no")
            error.__cause__ = ValueError(text)
        else:
            watch.shown.append(("warning", text))
        with pytest.raises(AssertionError):
            watch.look()
