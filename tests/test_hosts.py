"""The engine that Docker's own program would talk to is found, and what cannot be used is refused without secrets."""

from __future__ import annotations

import hashlib
import json
import pwd
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit import _dockerconfig
from swarmkit._hosts import Address, parse, resolve
from swarmkit._tls import TLSConfig
from swarmkit.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "/var/run/docker.sock"


def context(folder: Path, name: str, endpoints: Any, *, tls: bool = False) -> None:
    """Write a context where Docker's own program would."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    if tls:
        (folder / "contexts" / "tls" / digest / "docker").mkdir(parents=True)


def config(folder: Path, **keys: Any) -> None:
    (folder / "config.json").write_text(json.dumps(keys))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Docker's config folder, with three contexts of which one is current."""
    for name in ("remote", "other", "current"):
        context(tmp_path, name, {"docker": {"Host": f"tcp://{name}:1", "SkipTLSVerify": False}})
    config(tmp_path, currentContext="current")
    return tmp_path


# --- the order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "name", "environ", "found"),
    [
        ("tcp://arg:1", None, {"DOCKER_HOST": "tcp://env:1", "DOCKER_CONTEXT": "other"}, ("arg", "host")),
        (None, "remote", {"DOCKER_HOST": "tcp://env:1", "DOCKER_CONTEXT": "other"}, ("remote", "context 'remote'")),
        (None, None, {"DOCKER_HOST": "tcp://env:1", "DOCKER_CONTEXT": "other"}, ("env", "DOCKER_HOST")),
        (None, "default", {"DOCKER_HOST": "tcp://env:1", "DOCKER_CONTEXT": "other"}, ("env", "DOCKER_HOST")),
        (None, None, {"DOCKER_HOST": "", "DOCKER_CONTEXT": "other"}, ("other", "context 'other'")),
        (None, None, {"DOCKER_CONTEXT": "other"}, ("other", "context 'other'")),
        (None, None, {"DOCKER_CONTEXT": ""}, ("current", "context 'current'")),
        (None, None, {}, ("current", "context 'current'")),
    ],
)
def test_the_order_is_argument_variable_context_variable_current_context(
    folder: Path, host: str | None, name: str | None, environ: dict[str, str], found: tuple[str, str]
) -> None:
    address = resolve(host, name, {**environ, "DOCKER_CONFIG": str(folder)})

    assert found == (address.host, address.source)
    assert 1 == address.port


@pytest.mark.parametrize("environ", [{}, {"DOCKER_CONTEXT": "default"}, {"DOCKER_HOST": ""}])
def test_the_default_socket_comes_last(tmp_path: Path, environ: dict[str, str]) -> None:
    assert Address(path=DEFAULT, source="default") == resolve(None, None, {**environ, "DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("current", ["default", "", None])
def test_a_config_file_without_a_context_of_its_own_means_the_default_socket(tmp_path: Path, current: Any) -> None:
    config(tmp_path, currentContext=current, auths={})

    assert DEFAULT == resolve(None, None, {"DOCKER_CONFIG": str(tmp_path)}).path


def test_a_host_and_a_context_are_one_too_many(folder: Path) -> None:
    with pytest.raises(HostError, match="not both"):
        resolve("tcp://arg:1", "remote", {"DOCKER_CONFIG": str(folder)})


def test_the_config_folder_is_in_the_home_folder_of_that_environment(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    context(tmp_path / ".docker", "home", {"docker": {"Host": "tcp://home:1"}})
    config(tmp_path / ".docker", currentContext="home")

    assert "home" == resolve(None, None, {"HOME": str(tmp_path)}).host


def test_a_folder_that_is_given_is_taken_as_it_is() -> None:
    assert "~nobody/x" == str(_dockerconfig.folder({"DOCKER_CONFIG": "~nobody/x"}))


def test_a_user_without_a_home_folder_gets_the_default_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)

    assert DEFAULT == resolve(None, None, {}).path


# --- contexts --------------------------------------------------------------------------------------------------------


def test_a_context_may_name_a_unix_socket(folder: Path) -> None:
    context(folder, "rootless", {"docker": {"Host": "unix:///run/user/1000/docker.sock"}})

    assert Address(path="/run/user/1000/docker.sock", source="context 'rootless'") == resolve(
        None, "rootless", {"DOCKER_CONFIG": str(folder)}
    )


@pytest.mark.parametrize("name", ["missing", "../../etc", "a/b", "é"])
def test_a_context_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match="there is no such context") as caught:
        resolve(None, name, {"DOCKER_CONFIG": str(tmp_path)})

    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "endpoints",
    [
        None,
        {},
        [],
        "x",
        {"docker": None},
        {"docker": {}},
        {"docker": {"Host": ""}},
        {"docker": {"Host": 5}},
        {"kubernetes": {}},
    ],
)
def test_a_context_without_a_docker_host_is_refused(tmp_path: Path, endpoints: Any) -> None:
    context(tmp_path, "odd", endpoints)

    with pytest.raises(HostError, match="names no Docker host"):
        resolve(None, "odd", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_context_that_wants_no_verification_gets_it_only_from_the_caller(folder: Path) -> None:
    context(folder, "skip", {"docker": {"Host": "tcp://h", "SkipTLSVerify": True}})

    with pytest.raises(HostError, match=r"TLSConfig\(verify=False\)"):
        resolve(None, "skip", {"DOCKER_CONFIG": str(folder)})
    address = resolve(None, "skip", {"DOCKER_CONFIG": str(folder)}, TLSConfig(verify=False))
    assert address.tls is not None
    assert (address.port, address.tls.verify_mode, address.tls.check_hostname) == (2376, ssl.CERT_NONE, False)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"x" * 2_000_000], ids=["cut", "array", "bytes", "huge"])
def test_a_broken_context_or_config_file_is_an_error_about_the_host(tmp_path: Path, content: bytes) -> None:
    context(tmp_path, "broken", {})
    next((tmp_path / "contexts" / "meta").iterdir()).joinpath("meta.json").write_bytes(content)
    with pytest.raises(HostError, match=r"meta\.json"):
        resolve(None, "broken", {"DOCKER_CONFIG": str(tmp_path)})

    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(HostError, match=r"config\.json"):
        resolve(None, None, {"DOCKER_CONFIG": str(tmp_path)})


def test_a_broken_config_file_does_not_matter_where_the_host_is_given(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    assert "h" == resolve("tcp://h", None, {"DOCKER_CONFIG": str(tmp_path)}).host
    assert "h" == resolve(None, None, {"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "tcp://h"}).host


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/docker.sock", Address(path="/run/docker.sock")),
        (" unix:///run/docker.sock\n", Address(path="/run/docker.sock")),
        ("unix:///run/a b#c?d@e:1.sock", Address(path="/run/a b#c?d@e:1.sock")),
        ("unix:///run/%20", Address(path="/run/%20")),
        ("unix:///" + "a" * 106, Address(path="/" + "a" * 106)),
        ("tcp://h", Address(host="h", port=2375)),
        ("tcp://h:1234", Address(host="h", port=1234)),
        ("tcp://h:65535/", Address(host="h", port=65535)),
        ("http://10.0.0.1:80", Address(host="10.0.0.1", port=80)),
        ("TCP://Manager.Example.com:1", Address(host="manager.example.com", port=1)),
        ("tcp://[::1]:2375", Address(host="::1", port=2375)),
        ("tcp://[fe80::1%eth0]", Address(host="fe80::1%eth0", port=2375)),
        ("tcp://my_host-1.local", Address(host="my_host-1.local", port=2375)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert address == parse(text, "host", {})


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "docker",
        "h:2375",
        "/var/run/docker.sock",
        "unix://",
        "unix:/run/docker.sock",
        "unix://run/docker.sock",
        "unix:///a\0b",
        "tcp://",
        "tcp://:2375",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:-1",
        "tcp://h:port",
        "tcp://h:1/path",
        "tcp://h:1?query",
        "tcp://h:1#fragment",
        "tcp://[::1",
        "tcp://[x]",
        "tcp://a b",
        "tcp://a;b",
        "tcp://-oProxyCommand=x",
        "tcp://h\r\nX: y",
        "tcp://user@h",
        "fd://",
        "npipe:////./pipe/docker_engine",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_usable_address_is_refused(junk: str) -> None:
    with pytest.raises(HostError, match=r"^DOCKER_HOST"):
        parse(junk, "DOCKER_HOST", {})


@pytest.mark.parametrize("path", ["/" + "a" * 107, "/" + "é" * 54])
def test_a_path_no_unix_socket_can_have_is_refused(path: str) -> None:
    with pytest.raises(HostError, match="107 bytes"):
        parse(f"unix://{path}", "host", {})


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_wish_for_tls_is_not_ignored(scheme: str) -> None:
    with pytest.raises(HostError, match="TLS"):
        parse(f"{scheme}://h:2376", "DOCKER_HOST", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": "/nowhere"})

    assert "h" == parse(f"{scheme}://h:2376", "DOCKER_HOST", {"DOCKER_TLS_VERIFY": ""}).host
    assert "/s" == parse("unix:///s", "DOCKER_HOST", {"DOCKER_TLS_VERIFY": "1"}).path


@pytest.mark.parametrize(
    "text",
    [
        "tcp://user:hunter2@h:1",
        "tcp://user:hunter2@h:99999",
        "tcp://user:hunter2@[::1",
        "http://hunter2@h",
        "ssh://user:hunter2@h",
        "https://user:hunter2@h",
        "user:hunter2@h:1",
        "tcp://user:pa/hunter2@h:1",
        "tcp://user:p@hunter2/x@h:1",
        "tcp://user:p#hunter2@h:1",
        "tcp://h:1?token=hunter2",
        "tcp://h:1#hunter2",
        "unix://user:hunter2@h",
        "bogus://user:hunter2@h/hunter2",
    ],
)
def test_a_password_in_an_address_is_never_shown(text: str) -> None:
    with pytest.raises(HostError) as caught:
        parse(text, "DOCKER_HOST", {})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.text(max_size=20), st.sampled_from(["", "tcp://", "unix://", "unix:///", "http://", "ssh://"]))
def test_any_text_is_an_address_or_a_host_error(text: str, scheme: str) -> None:
    try:
        address = parse(scheme + text, "host", {})
    except HostError:
        return
    assert bool(address.path) != bool(address.host)


@pytest.mark.parametrize("text", ["unix:///run/docker.sock", "tcp://h:1234", "tcp://[::1]:2375"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert text == str(parse(text, "host", {}))
