"""The engine that Docker's own program would talk to is found, and what cannot be used is refused without secrets."""

from __future__ import annotations

import hashlib
import json
import pwd
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from swarmkit import _dockerconfig
from swarmkit._hosts import Address, parse, resolve
from swarmkit._tls import TLSConfig, files_in
from swarmkit._transport.dial import ssh_command
from swarmkit.errors import HostError

from .stub import Authority

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


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Docker's own program expects it."""
    folder = tmp_path_factory.mktemp("certificates")
    Authority(folder)
    return folder


def some(certificates: Path, folder: Path, *names: str) -> Path:
    """A folder with some of the files."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(certificates / name, folder / name)
    return folder


ALL = ("ca.pem", "cert.pem", "key.pem")


@pytest.mark.parametrize(
    ("environ", "host", "secure", "port"),
    [
        ({}, "tcp://h", False, 2375),
        ({"DOCKER_CERT_PATH": "."}, "tcp://h", False, 2375),
        ({"DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": "."}, "tcp://h", False, 2375),
        ({"DOCKER_TLS": "", "DOCKER_CERT_PATH": "."}, "tcp://h", False, 2375),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "."}, "tcp://h", True, 2376),
        ({"DOCKER_TLS_VERIFY": "0", "DOCKER_CERT_PATH": "."}, "tcp://h", True, 2376),
        ({"DOCKER_TLS": "1", "DOCKER_CERT_PATH": "."}, "tcp://h", True, 2376),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": "."}, "tcp://h", True, 2376),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "."}, "http://h", True, 2376),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "."}, "tcp://h:1", True, 1),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "."}, "unix:///s", False, 0),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "."}, "ssh://h", False, 0),
        ({}, "https://h", True, 2376),
        ({}, "https://h:443", True, 443),
    ],
)
def test_the_environment_says_when_tls_is_made_and_the_engine_is_always_verified(
    certificates: Path, environ: dict[str, str], host: str, secure: bool, port: int
) -> None:
    found = {name: str(certificates) if value == "." else value for name, value in environ.items()}

    address = resolve(None, None, {"DOCKER_CONFIG": "/nowhere", **found, "DOCKER_HOST": host})

    assert (secure, port) == (address.tls is not None, address.port)
    if address.tls is not None:
        assert (ssl.CERT_REQUIRED, True) == (address.tls.verify_mode, address.tls.check_hostname)
        assert ssl.TLSVersion.TLSv1_2 == address.tls.minimum_version
        if host != "https://h" and port != 443:
            assert 1 == len(address.tls.get_ca_certs())  # this authority, and no other


@pytest.mark.parametrize("names", [(), ("cert.pem", "key.pem")])
def test_docker_tls_verify_needs_the_authority(certificates: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = some(certificates, tmp_path / "some", *names)

    with pytest.raises(HostError, match=r"there is no ca\.pem"):
        parse("tcp://h", "host", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)})

    assert parse("tcp://h", "host", {"DOCKER_TLS": "1", "DOCKER_CERT_PATH": str(folder)}).tls is not None


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
def test_half_a_pair_is_refused(certificates: Path, tmp_path: Path, name: str) -> None:
    folder = some(certificates, tmp_path / "some", "ca.pem", name)

    with pytest.raises(HostError, match="a client certificate needs its key"):
        parse("tcp://h", "host", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)})
    with pytest.raises(HostError, match="a client certificate needs its key"):
        parse("tcp://h", "host", {}, files_in(some(certificates, tmp_path / "half", name)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hunter2",
        b"\xff\xfe\0",
        b"-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
        None,
    ],
    ids=["empty", "text", "bytes", "certificate", "key", "a folder"],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_without_its_content(
    certificates: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = some(certificates, tmp_path / "some", *ALL)
    (folder / name).unlink()
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)
    files = TLSConfig(ca_cert=folder / "ca.pem", client_cert=folder / "cert.pem", client_key=folder / "key.pem")

    with pytest.raises(HostError, match=r"^host: tcp://h: TLS material of no use") as caught:
        parse("tcp://h", "host", {}, files)

    assert name in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"gone\.pem.*No such file"):
        parse("tcp://h", "host", {}, TLSConfig(ca_cert=tmp_path / "gone.pem"))


def test_a_key_of_another_certificate_is_refused(certificates: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Authority(other)
    files = TLSConfig(client_cert=certificates / "cert.pem", client_key=other / "key.pem")

    with pytest.raises(HostError, match="TLS material of no use"):
        parse("tcp://h", "host", {}, files)


def test_a_key_that_wants_a_password_is_refused_and_nobody_is_asked(certificates: Path, tmp_path: Path) -> None:
    key = load_pem_private_key((certificates / "key.pem").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    (tmp_path / "key.pem").write_bytes(locked)
    program = (
        "import sys; from swarmkit import HostError, SwarmClient, TLSConfig\n"
        "try: SwarmClient('tcp://h', tls=TLSConfig(client_cert=sys.argv[1], client_key=sys.argv[2]))\n"
        "except HostError as error: print('refused', error)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program, certificates / "cert.pem", tmp_path / "key.pem"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout.startswith(b"refused host: tcp://h: TLS material of no use")
    assert b"" == ended.stderr


@pytest.mark.parametrize("host", ["unix:///s", "ssh://h"])
@pytest.mark.parametrize("tls", [TLSConfig(), TLSConfig(verify=False), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)])
def test_tls_where_there_can_be_none_is_refused(host: str, tls: TLSConfig | ssl.SSLContext) -> None:
    with pytest.raises(HostError, match=r"TLS goes with tcp:// and https:// alone"):
        parse(host, "host", {}, tls)


def test_the_callers_own_context_is_taken_as_it_is() -> None:
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"}

    assert mine is parse("tcp://h", "host", environ, mine).tls
    assert 2376 == parse("tcp://h", "host", environ, mine).port


def test_what_the_caller_leaves_out_is_taken_from_the_environment(certificates: Path) -> None:
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}

    unverified = parse("tcp://h", "host", environ, TLSConfig(verify=False)).tls
    assert unverified is not None
    assert (1, ssl.CERT_NONE) == (len(unverified.get_ca_certs()), unverified.verify_mode)

    filled = TLSConfig(ca_cert="mine").filled_from(TLSConfig(ca_cert="theirs", client_key="k"))
    assert TLSConfig(ca_cert="mine", client_key="k") == filled


@pytest.mark.parametrize(("names", "secure"), [(ALL, True), (("ca.pem",), True), ((), False)])
def test_a_context_brings_its_own_files(
    certificates: Path, tmp_path: Path, names: tuple[str, ...], secure: bool
) -> None:
    context(tmp_path, "there", {"docker": {"Host": "tcp://h"}}, tls=True)
    some(certificates, next((tmp_path / "contexts" / "tls").iterdir()) / "docker", *names)

    # What the environment says belongs to DOCKER_HOST.
    environ = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"}
    address = resolve(None, "there", environ)

    assert (secure, 2376 if secure else 2375) == (address.tls is not None, address.port)


def test_a_context_with_half_a_pair_is_refused(certificates: Path, tmp_path: Path) -> None:
    context(tmp_path, "there", {"docker": {"Host": "tcp://h"}}, tls=True)
    some(certificates, next((tmp_path / "contexts" / "tls").iterdir()) / "docker", "key.pem")

    with pytest.raises(HostError, match=r"context 'there'.*a client certificate needs its key"):
        resolve(None, "there", {"DOCKER_CONFIG": str(tmp_path)})


# --- ssh -------------------------------------------------------------------------------------------------------------

SSH = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-T"]
DIAL = ["docker", "system", "dial-stdio"]


@pytest.mark.parametrize(
    ("text", "address", "command"),
    [
        ("ssh://h", Address(host="h", ssh=True), [*SSH, "--", "h", *DIAL]),
        ("ssh://h/", Address(host="h", ssh=True), [*SSH, "--", "h", *DIAL]),
        ("ssh://me@h", Address(host="h", ssh=True, user="me"), [*SSH, "-l", "me", "--", "h", *DIAL]),
        ("ssh://h:22", Address(host="h", ssh=True, port=22), [*SSH, "-p", "22", "--", "h", *DIAL]),
        (
            "ssh://me.too-1@Manager.Example.com:2222",
            Address(host="Manager.Example.com", ssh=True, port=2222, user="me.too-1"),
            [*SSH, "-l", "me.too-1", "-p", "2222", "--", "Manager.Example.com", *DIAL],
        ),
        ("ssh://My_Alias", Address(host="My_Alias", ssh=True), [*SSH, "--", "My_Alias", *DIAL]),
        ("ssh://10.0.0.1", Address(host="10.0.0.1", ssh=True), [*SSH, "--", "10.0.0.1", *DIAL]),
        (
            "ssh://me@[2001:DB8::1]:22",
            Address(host="2001:DB8::1", ssh=True, port=22, user="me"),
            [*SSH, "-l", "me", "-p", "22", "--", "2001:DB8::1", *DIAL],
        ),
        ("ssh://[fe80::1%eth0]", Address(host="fe80::1%eth0", ssh=True), [*SSH, "--", "fe80::1%eth0", *DIAL]),
        (
            "ssh://h/run/user/1000/docker.sock",
            Address(host="h", ssh=True, remote_path="/run/user/1000/docker.sock"),
            [*SSH, "--", "h", "docker", "--host", "unix:///run/user/1000/docker.sock", "system", "dial-stdio"],
        ),
        (
            "ssh://h/a b;$(touch x)'`",
            Address(host="h", ssh=True, remote_path="/a b;$(touch x)'`"),
            [*SSH, "--", "h", "docker", "--host", """'unix:///a b;$(touch x)'"'"'`'""", "system", "dial-stdio"],
        ),
    ],
)
def test_an_address_behind_ssh_is_read_and_reached_by_one_command(
    text: str, address: Address, command: list[str]
) -> None:
    assert address == parse(text, "host", {})
    assert command == ssh_command(address)
    assert text.removesuffix("/") == str(address)
    assert shlex.split(" ".join(command[command.index("docker") :]))[-2:] == ["system", "dial-stdio"]


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh://:22",
        "ssh://me@",
        "ssh://@h",
        "ssh:///run/docker.sock",
        "ssh://-oProxyCommand=touch x",
        "ssh://-oProxyCommand=x",
        "ssh://-h",
        "ssh://-oProxyCommand=x@h",
        "ssh://-l@h",
        "ssh://me@-oProxyCommand=x",
        "ssh://a b",
        "ssh://a;b",
        "ssh://$(x)",
        "ssh://`x`",
        "ssh://a&b",
        "ssh://a|b",
        "ssh://a'b",
        "ssh://a b@h",
        "ssh://a;b@h",
        "ssh://$(x)@h",
        "ssh://a%h@h",
        "ssh://a%h",
        "ssh://h%20x",
        "ssh://me:hunter2@h",
        "ssh://me:@h",
        "ssh://h?hunter2",
        "ssh://h#hunter2",
        "ssh://h/s?hunter2",
        "ssh://h:0",
        "ssh://h:65536",
        "ssh://h:-1",
        "ssh://h:x",
        "ssh://[::1",
        "ssh://h\n-oProxyCommand=x",
        "ssh://h/a\0b",
        "ssh://h/" + "a" * 107,
    ],
)
def test_nothing_in_an_address_is_an_option_or_a_command(text: str) -> None:
    with pytest.raises(HostError) as caught:
        parse(text, "host", {})

    assert "hunter2" not in str(caught.value) or "@" not in text


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_a_host_behind_ssh_is_never_an_option(text: str) -> None:
    try:
        address = parse(f"ssh://{text}", "host", {})
    except HostError:
        return
    command = ssh_command(address)
    assert re.fullmatch(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*", address.host)
    assert not address.user.startswith("-")
    assert address.host == command[command.index("--") + 1]
    assert shlex.split(" ".join(command)) == [
        part if part is not command[-3] or not address.remote_path else f"unix://{address.remote_path}"
        for part in command
    ]
