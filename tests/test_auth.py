"""Registry credentials are found where Docker keeps them, sent as engines want them, and never shown."""

from __future__ import annotations

import copy
import json
import os
import pickle
import tempfile
import traceback
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit import _dockerconfig
from swarmkit.auth import HEADER, Lookup, RegistryAuth, in_config, lookup, registry_key
from swarmkit.errors import CredentialsError, SwarmkitError

if TYPE_CHECKING:
    from collections.abc import Callable

HUB = "https://index.docker.io/v1/"
SECRET = "hunter2"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def sent(auth: RegistryAuth | None) -> Any:
    """What an engine reads from the header."""
    return None if auth is None else json.loads(urlsafe_b64decode(auth.header()))


# --- the header ------------------------------------------------------------------------------------------------------


def test_the_header_is_json_in_the_url_alphabet_with_padding_in_docker_s_order() -> None:
    auth = RegistryAuth(username="me", password="?>~", server="registry.example.com:5000")

    text = '{"username":"me","password":"?>~","serveraddress":"registry.example.com:5000"}'
    assert text == urlsafe_b64decode(auth.header()).decode()
    assert (
        "eyJ1c2VybmFtZSI6Im1lIiwicGFzc3dvcmQiOiI_Pn4iLCJzZXJ2ZXJhZGRyZXNzIjoicmVnaXN0cnkuZXhhbXBsZS5jb206NTAwMCJ9"
        == auth.header()
    )
    assert RegistryAuth(username="u").header().endswith("=")


def test_every_part_has_its_place_and_empty_ones_are_left_out() -> None:
    auth = RegistryAuth(username="u", password="p", identity_token="i", registry_token="r", server="s")

    assert ["username", "password", "serveraddress", "identitytoken", "registrytoken"] == list(sent(auth))
    assert {"identitytoken": "i"} == sent(RegistryAuth(identity_token="i"))
    assert "e30=" == RegistryAuth().header()


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_user_and_password_arrive_as_they_are_in_a_plain_header(username: str, password: str) -> None:
    auth = RegistryAuth(username=username, password=password)

    assert {key: value for key, value in (("username", username), ("password", password)) if value} == sent(auth)
    assert not set(auth.header()) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


# --- the config file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "key"),
    [
        ("docker.io", HUB),
        ("index.docker.io", HUB),
        ("ghcr.io", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_docker_hub_has_a_name_of_its_own_in_the_config_file(domain: str, key: str) -> None:
    assert key == registry_key(domain)


ENTRY = {"auth": encoded(f"me:{SECRET}")}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (HUB, HUB),
        ("index.docker.io", HUB),
        ("https://index.docker.io/v2/", HUB),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("http://ghcr.io/v2", "ghcr.io"),
        ("ghcr.io/owner", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("http://localhost:5000/v1/", "localhost:5000"),
    ],
)
def test_an_entry_is_found_under_its_name_and_under_old_urls(name: str, key: str) -> None:
    found = in_config({"auths": {"other.example.com": {"auth": encoded("x:y")}, name: ENTRY}}, key)

    assert {"username": "me", "password": SECRET, "serveraddress": key} == sent(found.auth)
    assert "" == found.warning


def test_the_exact_name_goes_before_an_old_url() -> None:
    auths = {"https://ghcr.io/v1/": {"auth": encoded("old:x")}, "ghcr.io": {"auth": encoded("new:x")}}

    assert "new" == sent(in_config({"auths": auths}, "ghcr.io").auth)["username"]


@pytest.mark.parametrize("name", ["ghcr.io:443", "ghcr.io.example.com", "xghcr.io", "ftp://ghcr.io", "localhost"])
def test_another_registry_s_entry_is_never_sent(name: str) -> None:
    assert Lookup(None) == in_config({"auths": {name: ENTRY}}, "ghcr.io")
    assert Lookup(None) == in_config({"auths": {name: ENTRY}}, HUB)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("me:a:b:c")}, {"username": "me", "password": "a:b:c"}),
        ({"auth": encoded("me:")}, {"username": "me"}),
        ({"auth": encoded("me:pw\0\0")}, {"username": "me", "password": "pw"}),
        ({"auth": encoded("mé:pässword")}, {"username": "mé", "password": "pässword"}),
        ({"username": "me", "password": "pw"}, {"username": "me", "password": "pw"}),
        ({"username": "x", "password": "y", **ENTRY}, {"username": "me", "password": SECRET}),
        ({**ENTRY, "identitytoken": ""}, {"username": "me", "password": SECRET}),
        ({**ENTRY, "email": "a@b", "new": {}}, {"username": "me", "password": SECRET}),
        ({"auth": "", "username": "me", "password": "pw"}, {"username": "me", "password": "pw"}),
        ({"auth": encoded("000:"), "identitytoken": "tok"}, {"username": "000", "identitytoken": "tok"}),
        ({"identitytoken": "tok"}, {"identitytoken": "tok"}),
        ({"registrytoken": "tok"}, {"registrytoken": "tok"}),
        ({"auth": encoded("<token>:tok")}, {"identitytoken": "tok"}),
        ({"username": "<token>", "password": "tok"}, {"identitytoken": "tok"}),
        ({"auth": encoded("<token>:"), "identitytoken": "tok"}, {"identitytoken": "tok"}),
    ],
)
def test_an_entry_is_read_in_all_its_forms(entry: dict[str, Any], expected: dict[str, str]) -> None:
    found = in_config({"auths": {"ghcr.io": entry}}, "ghcr.io")

    assert {**expected, "serveraddress": "ghcr.io"} == sent(found.auth)


@pytest.mark.parametrize("entry", [None, {}, [], "x", 5, {"auth": 5}, {"auth": None}, {"auth": ""}, {"password": "pw"}])
def test_an_entry_without_credentials_is_none(entry: Any) -> None:
    assert Lookup(None) == in_config({"auths": {"ghcr.io": entry}}, "ghcr.io")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auths": None},
        {"auths": []},
        {"auths": {}},
        {"HttpHeaders": {"ghcr.io": "x"}},
        {"ghcr.io": ENTRY},
        {"credHelpers": [], "credsStore": None},
        {"credHelpers": {"other.example.com": "x"}},
    ],
)
def test_a_config_file_without_credentials_is_no_error(config: dict[str, Any]) -> None:
    assert Lookup(None) == in_config(config, "ghcr.io")


@pytest.mark.parametrize(
    "auth", ["*", "a", encoded("nocolon"), encoded(":pw"), "_-_-", encoded("me:pwd")[:-1] + "*", "/w==", "é"]
)
def test_a_malformed_entry_breaks_its_own_registry_only(auth: str) -> None:
    config = {"auths": {"broken.example.com": {"auth": auth}, "ghcr.io": ENTRY}}
    with pytest.raises(CredentialsError, match=r"broken\.example\.com") as caught:
        in_config(config, "broken.example.com")

    assert "the entry for broken.example.com in Docker's config file is malformed" == str(caught.value)
    assert "me" == sent(in_config(config, "ghcr.io").auth)["username"]
    assert Lookup(None) == in_config(config, "third.example.com")


@pytest.mark.parametrize(
    "config",
    [
        {"credsStore": "desktop", "auths": {"ghcr.io": {}}},
        {"credHelpers": {"ghcr.io": "desktop"}, "auths": {"ghcr.io": ENTRY}},
        {"credHelpers": {"ghcr.io": "desktop"}, "credsStore": "other"},
    ],
)
def test_credentials_that_a_helper_keeps_give_a_warning_and_not_silence(config: dict[str, Any]) -> None:
    found = in_config(config, "ghcr.io")

    assert found.auth is None
    assert {} == found.headers
    assert ["desktop" in found.warning, "ghcr.io" in found.warning] == [True, True]
    assert [found.warning] == found.warnings


def test_a_helper_for_one_registry_leaves_others_alone() -> None:
    config = {"credHelpers": {"other.example.com": "desktop"}, "auths": {"ghcr.io": ENTRY}}

    assert "me" == sent(in_config(config, "ghcr.io").auth)["username"]


# --- which one is sent -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("image", "server"),
    [
        ("nginx", HUB),
        ("docker.io/library/nginx:1", HUB),
        ("ghcr.io/o/x", "ghcr.io"),
        ("localhost:5000/x:1", "localhost:5000"),
    ],
)
async def test_given_credentials_are_sent_for_the_image_s_registry(image: str, server: str) -> None:
    found = await lookup(RegistryAuth(username="me", password=SECRET), image)

    assert {"username": "me", "password": SECRET, "serveraddress": server} == sent(found.auth)
    assert found.auth is not None
    assert {HEADER: found.auth.header()} == found.headers
    assert [] == found.warnings


@pytest.mark.anyio
async def test_a_server_that_is_given_stays() -> None:
    auth = RegistryAuth(username="me", server="mirror.example.com")

    assert Lookup(auth) == await lookup(auth, "nginx")


@pytest.mark.anyio
@pytest.mark.parametrize("option", [None, "config", RegistryAuth(username="me")])
async def test_without_an_image_nothing_is_sent(option: Any) -> None:
    assert Lookup(None) == await lookup(option, "")


@pytest.mark.anyio
@pytest.mark.parametrize("option", ["config", RegistryAuth(username="me")])
async def test_what_is_no_image_is_left_for_the_engine_to_refuse(option: Any) -> None:
    assert Lookup(None) == await lookup(option, "INVALID IMAGE")


@pytest.mark.anyio
async def test_nothing_is_sent_where_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert {} == (await lookup(None, "nginx")).headers


@pytest.mark.anyio
async def test_the_config_file_is_asked_for_the_image_s_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    auths = {HUB: {"auth": encoded("hub:x")}, "ghcr.io": {"auth": encoded("gh:x")}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    users = {image: sent((await lookup("config", image)).auth) for image in ("nginx", "ghcr.io/o/x", "quay.io/x")}
    assert {"nginx": "hub", "ghcr.io/o/x": "gh", "quay.io/x": None} == {
        image: user and user["username"] for image, user in users.items()
    }


@pytest.mark.anyio
async def test_a_config_file_that_is_missing_means_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nowhere"))

    assert Lookup(None) == await lookup("config", "nginx")


# --- broken config files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"auths": {"x": {"auth": "hunter2"', "not a JSON object"),
        (b"", "not a JSON object"),
        (b"hunter2", "not a JSON object"),
        (b'\xef\xbb\xbf{"hunter2": {}}', "not a JSON object"),
        (b'{"hunter2": "\xff"}', "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'["hunter2"]', "not a JSON object"),
        (b'"hunter2"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"hunter2": "' + b"x" * 1024 * 1024 + b'"}', "larger than 1 MiB"),
    ],
    ids=["cut", "empty", "text", "byte order mark", "bytes", "deep", "array", "string", "null", "huge"],
)
def test_a_broken_config_file_is_an_error_with_its_path_and_without_its_content(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=reason) as caught:
        _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})

    shown = "".join(traceback.format_exception(caught.value))
    assert str(path) in str(caught.value)
    assert SECRET not in shown


def test_a_config_file_of_exactly_1_mib_is_read(tmp_path: Path) -> None:
    text = '{"auths": {}, "x": "'
    (tmp_path / "config.json").write_text(text + "y" * (1024 * 1024 - len(text) - 2) + '"}')

    assert {} == _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})["auths"]


def test_a_config_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CredentialsError, match=r"config\.json"):
        _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("content", [b'{"auths": {"x": "hunter2"', b'{"a": "hunter2"}\xff', b"[1, 2]"])
def test_no_part_of_a_broken_config_file_comes_along_with_its_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CredentialsError, match="not a JSON object") as caught:
        _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_config_file_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(CredentialsError, match=r"config\.json"):
        _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path)})


def test_a_config_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    with pytest.raises(CredentialsError, match=r"config\.json"):
        _dockerconfig.read({"DOCKER_CONFIG": str(tmp_path / "file")})


def test_a_config_file_that_must_not_be_read_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "config.json")
        path.write_text("{}")
        path.chmod(0)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root reads every file
        try:
            with pytest.raises(CredentialsError, match=r"config\.json: Permission denied"):
                _dockerconfig.read({"DOCKER_CONFIG": folder})
        finally:
            os.seteuid(user)


# --- nothing is shown ------------------------------------------------------------------------------------------------


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def in_a_list(value: object) -> str:
    return repr([value])


@pytest.mark.parametrize("show", [repr, str, in_a_list, "{}".format])
def test_credentials_are_never_shown(show: Callable[[object], str]) -> None:
    auth = RegistryAuth(username="me", password=SECRET, identity_token=SECRET, registry_token=SECRET, server="s")

    assert SECRET not in show(auth)
    assert SECRET not in show(Lookup(auth))
    assert "me" in show(auth)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_credentials_are_values(duplicate: Callable[[Any], Any]) -> None:
    auth = RegistryAuth(username="me", password=SECRET)

    assert auth == duplicate(auth)
    assert auth != RegistryAuth(username="me", password="other")
    with pytest.raises(AttributeError):
        cast("Any", auth).password = "other"


@pytest.mark.parametrize(
    "entry",
    [{"auth": encoded(SECRET)}, {"auth": SECRET + "*"}, {"auth": encoded(f":{SECRET}")}],
    ids=["no colon", "no base64", "no user"],
)
def test_an_error_about_an_entry_never_shows_it(entry: dict[str, str]) -> None:
    with pytest.raises(SwarmkitError) as caught:
        in_config({"auths": {"ghcr.io": entry}}, "ghcr.io")

    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in shown.replace(repr(entry), "")
    assert entry["auth"] not in str(caught.value)
