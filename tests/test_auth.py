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
from swarmkit.auth import HEADER, Lookup, RegistryAuth, helper_for, in_config, in_environment, lookup, registry_key
from swarmkit.errors import CredentialsError

from .helpers import put_helper

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("nothing_shows")

HUB = "https://index.docker.io/v1/"
SECRET = "hunter2"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def sent(auth: RegistryAuth | None) -> Any:
    """What an engine reads from the header."""
    return None if auth is None else json.loads(urlsafe_b64decode(auth.header()))


def found_in(config: dict[str, Any], key: str) -> Any:
    """What an engine is sent of a config file."""
    return sent(in_config(config, key, "config.json"))


# --- the header ------------------------------------------------------------------------------------------------------


def test_the_header_is_json_in_the_url_alphabet_with_padding_in_docker_s_order() -> None:
    auth = RegistryAuth(username="me", password="~?~?", server="registry.example.com:5000")

    text = '{"username":"me","password":"~?~?","serveraddress":"registry.example.com:5000"}'
    assert text == urlsafe_b64decode(auth.header()).decode()
    assert (
        "eyJ1c2VybmFtZSI6Im1lIiwicGFzc3dvcmQiOiJ-P34_Iiwic2VydmVyYWRkcmVzcyI6InJlZ2lzdHJ5LmV4YW1wbGUuY29tOjUwMDAifQ=="
        == auth.header()
    )
    assert RegistryAuth(username="u").header().endswith("=")


def test_every_part_has_its_place_and_empty_ones_are_left_out() -> None:
    auth = RegistryAuth(username="u", password="p", identity_token="i", registry_token="r", server="s")

    assert ["username", "password", "serveraddress", "identitytoken", "registrytoken"] == list(sent(auth))
    assert {"identitytoken": "i"} == sent(RegistryAuth(identity_token="i"))
    assert "e30=" == RegistryAuth().header()


def test_the_header_escapes_what_docker_escapes_and_nothing_else() -> None:
    auth = RegistryAuth(username="<é>&", password='"\\/\t\b\f\x01\x7f\u2028\u2029😀\ud800')

    text = rb'{"username":"\u003c%b\u003e\u0026","password":"\"\\/\t\b\f\u0001%b\u2028\u2029%b\ud800"}'
    assert text % ("é".encode(), b"\x7f", "😀".encode()) == urlsafe_b64decode(auth.header())


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
        ("docker.io", HUB),
        ("index.docker.io", HUB),
        ("https://index.docker.io/v2/", HUB),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("http://ghcr.io/v2", "ghcr.io"),
        ("ghcr.io/owner", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("http://localhost:5000/v1/", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://[::1]:5000/v2/", "[::1]:5000"),
    ],
)
def test_an_entry_is_found_under_its_name_and_under_old_urls_and_sent_by_the_name_it_has(name: str, key: str) -> None:
    auths = {"other.example.com": {"auth": encoded("x:y")}, name: ENTRY}

    assert {"username": "me", "password": SECRET, "serveraddress": name} == found_in({"auths": auths}, key)


def test_the_exact_name_goes_before_an_old_url() -> None:
    auths = {"https://ghcr.io/v1/": {"auth": encoded("old:x")}, "ghcr.io": {"auth": encoded("new:x")}}

    assert "new" == found_in({"auths": auths}, "ghcr.io")["username"]


@pytest.mark.parametrize(
    "name",
    ["ghcr.io:443", "ghcr.io.example.com", "xghcr.io", "ftp://ghcr.io", "localhost", "xdocker.io", "docker.io:443"],
)
def test_another_registry_s_entry_is_never_sent(name: str) -> None:
    assert found_in({"auths": {name: ENTRY}}, "ghcr.io") is None
    assert found_in({"auths": {name: ENTRY}}, HUB) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("me:a:b:c")}, {"username": "me", "password": "a:b:c"}),
        ({"auth": encoded("me:")}, {"username": "me"}),
        ({"auth": encoded("me:\0pw\0\0")}, {"username": "me", "password": "pw"}),
        ({"auth": encoded("mé:pässword")}, {"username": "mé", "password": "pässword"}),
        ({"auth": "bWU6\ncHc=\r\n"}, {"username": "me", "password": "pw"}),
        ({"username": "me", "password": "pw"}, {"username": "me", "password": "pw"}),
        ({"username": "x", "password": "y", **ENTRY}, {"username": "me", "password": SECRET}),
        ({**ENTRY, "identitytoken": ""}, {"username": "me", "password": SECRET}),
        ({**ENTRY, "password": None, "serveraddress": "x"}, {"username": "me", "password": SECRET}),
        ({**ENTRY, "email": "a@b", "new": {}}, {"username": "me", "password": SECRET}),
        ({"auth": "", "username": "me", "password": "pw"}, {"username": "me", "password": "pw"}),
        ({"auth": encoded("000:"), "identitytoken": "tok"}, {"username": "000", "identitytoken": "tok"}),
        ({"identitytoken": "tok"}, {"identitytoken": "tok"}),
        ({"registrytoken": "tok"}, {"registrytoken": "tok"}),
        ({"password": "pw"}, {"password": "pw"}),
        # Only helpers mean a token by it.
        ({"auth": encoded("<token>:tok")}, {"username": "<token>", "password": "tok"}),
    ],
)
def test_an_entry_is_read_in_all_its_forms(entry: dict[str, Any], expected: dict[str, str]) -> None:
    assert {**expected, "serveraddress": "ghcr.io"} == found_in({"auths": {"ghcr.io": entry}}, "ghcr.io")


@pytest.mark.parametrize("entry", [None, {}, {"auth": None}, {"auth": ""}, {"email": "a@b"}])
def test_an_entry_without_credentials_is_none(entry: Any) -> None:
    assert found_in({"auths": {"ghcr.io": entry}}, "ghcr.io") is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auths": None},
        {"auths": {}},
        {"HttpHeaders": {"ghcr.io": "x"}},
        {"ghcr.io": ENTRY},
        {"credHelpers": None, "credsStore": None},
        {"credHelpers": {"other.example.com": "x"}},
    ],
)
def test_a_config_file_without_credentials_is_no_error(config: dict[str, Any]) -> None:
    assert found_in(config, "ghcr.io") is None
    assert "" == helper_for(config, "ghcr.io", "config.json")


BROKEN: list[Any] = [
    *({"auth": auth} for auth in ("*", "a", encoded("nocolon"), encoded(":pw"), "_-_-", encoded("me:pwd")[:-1] + "*")),
    *({"auth": auth} for auth in ("/w==", "é", 5, [SECRET])),
    *({"username": "me", name: {"x": SECRET}} for name in ("password", "identitytoken", "registrytoken")),
    *([], SECRET, 5, True),
]


@pytest.mark.parametrize("entry", BROKEN, ids=repr)
def test_a_malformed_entry_breaks_its_own_registry_only(entry: Any) -> None:
    config = {"auths": {"broken.example.com": entry, "ghcr.io": ENTRY}}
    with pytest.raises(CredentialsError) as caught:
        found_in(config, "broken.example.com")

    assert "config.json: the entry for broken.example.com is malformed" == str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "me" == found_in(config, "ghcr.io")["username"]
    assert found_in(config, "third.example.com") is None


@pytest.mark.parametrize("section", ["auths", "credHelpers"])
@pytest.mark.parametrize("content", [[], [SECRET], SECRET, 5])
def test_a_part_of_the_config_file_that_is_something_else_is_an_error(section: str, content: Any) -> None:
    with pytest.raises(CredentialsError) as caught:
        (in_config if section == "auths" else helper_for)({section: content}, "ghcr.io", "config.json")

    assert f"config.json: {section} is not a JSON object" == str(caught.value)


# --- which helper is asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "helper"),
    [
        ({"credsStore": "all", "auths": {"ghcr.io": ENTRY}}, "all"),
        ({"credHelpers": {"ghcr.io": "one"}, "credsStore": "all"}, "one"),
        ({"credHelpers": {"other.example.com": "one"}, "credsStore": "all"}, "all"),
        ({"credHelpers": {"other.example.com": "one"}, "auths": {"ghcr.io": ENTRY}}, ""),
        ({"credHelpers": {"https://ghcr.io": "one"}}, ""),
        # An empty one says that this registry's are in the file.
        ({"credHelpers": {"ghcr.io": ""}, "credsStore": "all"}, ""),
    ],
)
def test_a_registry_s_own_helper_goes_before_the_one_for_all(config: dict[str, Any], helper: str) -> None:
    assert helper == helper_for(config, "ghcr.io", "config.json")


@pytest.mark.parametrize("config", [{"credHelpers": {"ghcr.io": {"x": SECRET}}}, {"credsStore": [SECRET]}])
def test_a_malformed_helper_breaks_the_registries_it_is_for(config: dict[str, Any]) -> None:
    with pytest.raises(CredentialsError) as caught:
        helper_for(config, "ghcr.io", "config.json")

    assert "config.json: the helper for ghcr.io is malformed" == str(caught.value)
    assert "" == helper_for({**config, "credsStore": None}, "other.example.com", "config.json")


# --- DOCKER_AUTH_CONFIG ----------------------------------------------------------------------------------------------


def test_the_environment_s_entries_are_found_under_their_very_names() -> None:
    text = json.dumps({"auths": {"https://quay.io": ENTRY, "ghcr.io": ENTRY, HUB: ENTRY, "broken.example.com": {}}})

    assert {"username": "me", "password": SECRET, "serveraddress": "ghcr.io"} == sent(in_environment(text, "ghcr.io"))
    assert {"username": "me", "password": SECRET, "serveraddress": HUB} == sent(in_environment(text, HUB))
    assert in_environment(text, "quay.io") is None


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"auths": null}', '{"auths": {}}', '{"auths": {"ghcr.io": null}}'])
def test_an_environment_without_credentials_is_no_error(text: str) -> None:
    assert in_environment(text, "ghcr.io") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"auths": {"ghcr.io": {"auth": "hunter2', "not a JSON object"),
        ('["hunter2"]', "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"auths": ["hunter2"]}', "auths is not a JSON object"),
        ('{"auths": {}, "hunter2": {}}', "Docker takes nothing there but auths"),
        ('{"auths": {"ghcr.io": {"auth": "hunter2"}}}', "the entry for ghcr.io is malformed"),
        (
            '{"auths": {"ghcr.io": {"auth": ""}}}',
            "Docker takes nothing there but an auth, and ghcr.io has something else",
        ),
        ('{"auths": {"ghcr.io": {"auth": "eDp5", "hunter2": "x"}}}', "and ghcr.io has something else"),
        ('{"auths": {"ghcr.io": {"username": "x", "password": "hunter2"}}}', "and ghcr.io has something else"),
        ('{"auths": {"ghcr.io": "hunter2"}}', "and ghcr.io has something else"),
    ],
)
def test_an_environment_that_docker_would_not_take_is_an_error_without_its_content(text: str, reason: str) -> None:
    with pytest.raises(CredentialsError, match=f"^DOCKER_AUTH_CONFIG: .*{reason}") as caught:
        in_environment(text, "ghcr.io")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


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
    assert () == found.warnings


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


# --- helpers and the environment on the way ---------------------------------------------------------------------------

IN_FILE = {"auths": {"ghcr.io": ENTRY}}
FROM_HELPER = '{"Username":"kept","Secret":"hunter2"}'


@pytest.fixture
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], None]:
    """Write the config file."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)

    def write(config: dict[str, Any]) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))

    return write


@pytest.fixture
def helper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Make the helper `test` of a script."""
    return lambda script: put_helper(tmp_path / "bin", "test", script, monkeypatch)


@pytest.mark.anyio
async def test_the_environment_goes_before_a_helper_and_that_before_the_file(
    docker_config: Callable[[dict[str, Any]], None], helper: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def user() -> Any:
        return sent((await lookup("config", "ghcr.io/o/x")).auth)["username"]

    docker_config(IN_FILE)
    assert "me" == await user()
    helper(f"echo '{FROM_HELPER}'")
    docker_config({**IN_FILE, "credsStore": "test"})
    assert "kept" == await user()
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"ghcr.io": {"auth": encoded("env:hunter2")}}}))
    assert "env" == await user()
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"quay.io": {"auth": encoded("env:hunter2")}}}))
    assert "kept" == await user()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "entry", "expected"),
    [
        (FROM_HELPER, None, {"username": "kept", "password": SECRET, "serveraddress": "ghcr.io"}),
        (FROM_HELPER, ENTRY, {"username": "kept", "password": SECRET, "serveraddress": "ghcr.io"}),
        (
            FROM_HELPER,
            {"registrytoken": "r"},
            {"username": "kept", "password": SECRET, "serveraddress": "ghcr.io", "registrytoken": "r"},
        ),
        ('{"Username":"<token>","Secret":"t"}', ENTRY, {"serveraddress": "ghcr.io", "identitytoken": "t"}),
        ("{}", ENTRY, None),
        ("{}", {"registrytoken": "r", "identitytoken": "i"}, {"registrytoken": "r"}),
    ],
)
async def test_what_a_helper_keeps_is_sent_with_the_registry_token_of_the_file(
    docker_config: Callable[[dict[str, Any]], None],
    helper: Callable[[str], Path],
    answer: str,
    entry: Any,
    expected: dict[str, str] | None,
) -> None:
    helper(f"echo '{answer}'")
    docker_config({"credHelpers": {"ghcr.io": "test"}, "auths": {"ghcr.io": entry}})

    found = await lookup("config", "ghcr.io/o/x")
    assert (expected, ()) == (sent(found.auth), found.warnings)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["missing", "test"])
async def test_a_helper_of_no_use_is_a_warning_and_an_error_where_credentials_were_asked_for(
    docker_config: Callable[[dict[str, Any]], None], helper: Callable[[str], Path], name: str
) -> None:
    helper(f"echo {SECRET}; exit 3")
    docker_config({**IN_FILE, "credsStore": name})

    found = await lookup("config", "ghcr.io/o/x")
    trouble = "it failed with exit code 3" if name == "test" else "there is no such program"
    said = f"docker-credential-{name} gave no credentials for ghcr.io: {trouble}"
    assert (None, (f"{said}; none were sent",)) == (found.auth, found.warnings)
    with pytest.raises(CredentialsError, match=f"^{said}$"):
        await lookup("config", "ghcr.io/o/x", asked=True)
    with pytest.raises(CredentialsError, match=f"^{said}$"):
        await lookup("config", "ghcr.io/o/x", needed=True)


@pytest.mark.anyio
async def test_an_environment_of_no_use_is_a_warning_and_the_file_is_looked_at(
    docker_config: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_config(IN_FILE)
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", SECRET)

    found = await lookup("config", "ghcr.io/o/x")
    assert "me" == sent(found.auth)["username"]
    assert ("DOCKER_AUTH_CONFIG: not a JSON object; it was left aside",) == found.warnings
    with pytest.raises(CredentialsError, match=r"^DOCKER_AUTH_CONFIG: not a JSON object$"):
        await lookup("config", "ghcr.io/o/x", asked=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("option", "image", "reason"),
    [
        (None, "ghcr.io/x", "ghcr.io: registry_auth is None"),
        ("config", "quay.io/x", "quay.io: Docker's config has none"),
        ("config", "NO IMAGE", "what is no image: Docker's config has none"),
    ],
)
async def test_credentials_that_are_needed_and_not_there_are_an_error(
    docker_config: Callable[[dict[str, Any]], None], option: Any, image: str, reason: str
) -> None:
    docker_config(IN_FILE)
    assert (await lookup(option, image)).auth is None
    with pytest.raises(CredentialsError, match=f"^there are no credentials for {reason}$"):
        await lookup(option, image, needed=True)


@pytest.mark.anyio
async def test_a_file_that_changes_is_read_again(docker_config: Callable[[dict[str, Any]], None]) -> None:
    users: list[Any] = []
    for config in (IN_FILE, {}, {"auths": {"ghcr.io": {"auth": encoded("you:pw")}}}):
        docker_config(config)
        found = sent((await lookup("config", "ghcr.io/o/x")).auth)
        users.append(found and found["username"])
    assert ["me", None, "you"] == users


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


def in_a_list(value: object) -> str:
    return repr([value])


@pytest.mark.parametrize("show", [repr, str, in_a_list, "{}".format])
def test_credentials_are_never_shown(show: Callable[[object], str]) -> None:
    auth = RegistryAuth(username="me", password=SECRET, identity_token=SECRET, registry_token=SECRET, server="s")

    assert SECRET not in show(auth)
    assert SECRET not in show(Lookup(auth))
    assert "me" in show(auth)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_credentials_are_values(duplicate: Callable[[Any], Any]) -> None:
    auth = RegistryAuth(username="me", password=SECRET)

    assert auth == duplicate(auth)
    assert auth != RegistryAuth(username="me", password="other")
    with pytest.raises(AttributeError):
        cast("Any", auth).password = "other"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_credentials_do_not_leave_the_process_in_a_pickle(protocol: int) -> None:
    for value in (RegistryAuth(username="me", password=SECRET), Lookup(RegistryAuth(password=SECRET))):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(value, protocol)
