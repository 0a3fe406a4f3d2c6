"""The transport: what it makes of bytes, and that it leaks nothing; on real sockets."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import ssl
import threading
import time
import warnings
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from swarmkit import EngineUnreachable, OutcomeUnknown, ServiceSpec, SwarmkitError, TLSConfig
from swarmkit._engine import Engine
from swarmkit._hosts import Address
from swarmkit._tls import ssl_context
from swarmkit._transport import EngineTransport
from swarmkit._transport.message import Attempt
from swarmkit.versions import ApiVersion

from .stub import Authority, Received, Say, StubEngine, always, answer, hang, open_descriptors, talk

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def open_transport(engine: StubEngine, *, max_connections: int = 64) -> EngineTransport:
    return EngineTransport(engine.address(), max_connections=max_connections)


def listening(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    return listener


# --- what bytes mean -------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD: list[tuple[str, bytes, tuple[int, bytes]]] = [
    ("sized", HEAD + b"Content-Length: 2\r\n\r\nhi", (200, b"hi")),
    ("chunked", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", (200, b"hi")),
    ("until the end", HEAD + b"\r\nhi", (200, b"hi")),
    ("empty", HEAD + b"Content-Length: 0\r\n\r\n", (200, b"")),
    ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    (
        "after an interim answer",
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nhi",
        (200, b"hi"),
    ),
    (
        "with another answer glued on",
        HEAD + b"Content-Length: 2\r\n\r\nhi" + HEAD + b"Content-Length: 4\r\n\r\nevil",
        (200, b"hi"),
    ),
    ("with trailing rubbish", HEAD + b"Content-Length: 2\r\n\r\nhi\0\xff", (200, b"hi")),
]


@pytest.mark.parametrize(("raw", "expected"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_an_answer_is_read_as_it_is_meant(raw: bytes, expected: tuple[int, bytes], split: bool) -> None:
    def byte_by_byte(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for index in range(len(raw)):
            sock.sendall(raw[index : index + 1])

    with StubEngine(always(byte_by_byte if split else raw)) as engine:
        transport = open_transport(engine)
        assert expected == await talk(transport)


BAD: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200"),
    ("no HTTP", b"\x16\x03\x01\x02\x00hello"),
    ("shorter than it says", HEAD + b"Content-Length: 9\r\n\r\nhi"),
    ("a cut chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhi"),
    ("no last chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
    ("a bad chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n"),
    ("a negative length", HEAD + b"Content-Length: -2\r\n\r\nhi"),
    ("two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"),
    ("a length and chunks", HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a switch of protocols", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n"),
    ("interim answers for ever", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    ("an endless head", HEAD + b"X: " + b"y" * 300_000),
]


@pytest.mark.parametrize("raw", [row[1] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_whole_answer_is_an_error_and_the_next_call_works(raw: bytes) -> None:
    says = [raw, answer(b"fine")]
    with StubEngine(lambda _: says.pop(0)) as engine:
        transport = open_transport(engine, max_connections=1)
        with pytest.raises(httpx.HTTPError):
            await talk(transport)
        assert (200, b"fine") == await talk(transport)


async def test_a_refusal_that_comes_while_the_request_is_still_sent_is_read(short_path: Path) -> None:
    path = str(short_path / "early.sock")
    with listening(socket.AF_UNIX, path) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(10)
                sock.sendall(answer(b"too large", status=431))
                sock.shutdown(socket.SHUT_RD)  # from here on the client cannot write
                time.sleep(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        attempt = Attempt()
        transport = EngineTransport(Address(path=path), max_connections=1)
        status, _ = await talk(transport, method="POST", body=b"x" * 4_000_000, attempt=attempt)
        assert status == 431
        assert attempt.sent is not None
        assert 0 < attempt.sent < 4_000_000
        thread.join()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_a_header_cannot_bring_another(value: str) -> None:
    with StubEngine(always(answer())) as engine:
        transport = open_transport(engine)
        with pytest.raises(httpx.LocalProtocolError):
            await talk(transport, headers={"X-Registry-Auth": value})
        assert engine.received == []


# --- how much was taken ----------------------------------------------------------------------------------------------


async def test_an_attempt_knows_how_much_of_it_was_taken() -> None:
    attempt = Attempt()
    with StubEngine(always(answer())) as engine:
        transport = open_transport(engine)
        await talk(transport, attempt=attempt)
    assert attempt.sent is not None
    assert attempt.sent > 0
    assert not attempt.untouched


async def test_an_attempt_that_got_no_connection_is_untouched() -> None:
    attempt = Attempt()
    transport = EngineTransport(Address(path="/run/no-such-folder/x.sock"), max_connections=1)
    with pytest.raises(httpx.ConnectError) as caught:
        await talk(transport, attempt=attempt)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert attempt.untouched


# --- connecting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")]
)
async def test_tcp(family: int, host: str) -> None:
    with listening(family, (host, 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer(b"over tcp"))

        thread = threading.Thread(target=serve)
        thread.start()
        transport = EngineTransport(Address(host=host, port=listener.getsockname()[1]), max_connections=1)
        assert (200, b"over tcp") == await talk(transport)
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a" * 70 + ".invalid"])
async def test_a_host_that_cannot_be_reached_is_a_connect_error(host: str) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = EngineTransport(Address(host=host, port=port), max_connections=1)
    with pytest.raises(httpx.ConnectError):
        await talk(transport)


@pytest.mark.parametrize("kind", ["folder", "file", "loop", "through a file"])
async def test_a_path_that_is_no_socket_is_a_connect_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    match kind:
        case "folder":
            path.mkdir()
        case "file":
            path.write_text("")
        case "loop":
            path.symlink_to(path)
        case _:
            path.write_text("")
            path = path / "y"
    before = open_descriptors()
    transport = EngineTransport(Address(path=str(path)), max_connections=1)
    with pytest.raises(httpx.ConnectError):
        await talk(transport)
    assert before == open_descriptors()


async def test_a_full_backlog_is_waited_out_without_spinning(short_path: Path) -> None:
    path = str(short_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        fillers: list[socket.socket] = []
        while True:
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            try:
                filler.connect(path)
            except BlockingIOError:
                filler.close()
                break
            fillers.append(filler)
        before = open_descriptors()
        used = os.times()
        transport = EngineTransport(Address(path=path), max_connections=1)
        with anyio.move_on_after(0.5) as scope:
            await talk(transport)
        assert scope.cancelled_caught
        spent = os.times()
        assert (spent.user + spent.system) - (used.user + used.system) < 0.4
        assert before == open_descriptors()
        for filler in fillers:
            filler.close()


# --- the limit on connections ----------------------------------------------------------------------------------------


async def test_more_calls_than_connections_wait_their_turn_in_order() -> None:
    under_way: list[str] = []
    together: list[int] = []

    def script(request: Received) -> Say:
        under_way.append(request.path)
        together.append(len(under_way))
        time.sleep(0.001)
        under_way.remove(request.path)
        return answer(request.path.encode())

    with StubEngine(script) as engine:
        transport = open_transport(engine, max_connections=1)
        done: list[bytes] = []

        async def call(number: int) -> None:
            done.append((await talk(transport, f"/{number}"))[1])

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(call, number)
        # trio starts tasks in any order; from there on the gate keeps it.
        assert [request.path.encode() for request in engine.received] == done
        assert len(set(done)) == 50
        assert [1] * 50 == together


async def test_streams_do_not_keep_calls_out() -> None:
    def script(request: Received) -> Say:
        return hang if request.path == "/stream" else answer(b"fine")

    with StubEngine(script) as engine:
        transport = open_transport(engine, max_connections=1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(talk, transport, "/stream", stream=True))
            while len(engine.received) < 3:
                await anyio.sleep(0.001)
            assert (200, b"fine") == await talk(transport)
            group.cancel_scope.cancel()


async def test_a_process_without_a_free_descriptor_recovers() -> None:
    with StubEngine(always(answer())) as engine:
        stub = Engine(engine.address(), pinned=ApiVersion.parse("1.51"))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            for method in ("GET", "POST"):
                with pytest.raises(EngineUnreachable, match="Too many open files"):
                    await stub.call(method, "/x")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await stub.call("POST", "/x")
        assert len(engine.received) == 1


async def test_programs_that_speak_httpx_can_use_it() -> None:
    with StubEngine(lambda request: answer(request.method.encode() + request.body), keeps=True) as engine:
        async with httpx.AsyncClient(transport=open_transport(engine), base_url="http://docker") as client:
            for method, content in (("GET", b""), ("POST", b"-body")):
                response = await client.request(method, "/x", content=content)
                assert (200, "Said") == (response.status_code, response.reason_phrase)
                assert method.encode() + content == response.content


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unix", "tcp", "tls"])
async def test_what_the_environment_says_to_other_programs_has_no_effect(
    authority: Authority, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as proxy,
        StubEngine(
            always(answer(headers={"Set-Cookie": "session=1; Path=/"})),
            keeps=True,
            tcp=kind == "tcp",
            tls=authority.server() if kind == "tls" else None,
        ) as engine,
    ):
        proxy.setblocking(False)
        for scheme in ("http", "https", "all"):
            for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "[::")
        (tmp_path / "netrc").write_text("default login me password hunter2")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
        client = Engine(engine.address(authority.context() if kind == "tls" else None), max_connections=1)
        for method in ("GET", "POST"):
            await client.call(method, "/x")
        with pytest.raises(BlockingIOError):
            proxy.accept()
        assert not {"authorization", "cookie", "proxy-authorization"} & {
            name for request in engine.received for name in request.headers
        }
        await client.aclose()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/x y", {}),
        ("/x\r\nX-Evil: 1", {}),
        ("/x HTTP/1.1\r\n\r\nGET /y", {}),
        ("/x\0", {}),
        ("/é", {}),
        ("/\ud800", {}),
        ("/x", {"X-Registry-Auth": "a\r\nX-Evil: 1"}),
        ("/x", {"X-Registry-Auth": "é"}),
        ("/x", {"X-Evil: 1\r\nX": "a"}),
        ("/x", {"": "a"}),
    ],
)
async def test_nothing_can_be_smuggled_into_a_request(method: str, path: str, headers: dict[str, str]) -> None:
    with StubEngine(always(answer())) as engine:
        client = Engine(engine.address(), pinned=ApiVersion.parse("1.51"), max_connections=1)
        with pytest.raises(SwarmkitError) as caught:
            await client.call(method, path, headers=headers)
        assert not isinstance(caught.value, OutcomeUnknown)
        assert engine.received == []
        await client.call(method, "/x")


# --- TLS -------------------------------------------------------------------------------------------------------------


def funnel(engine: StubEngine, tls: ssl.SSLContext | None, host: str = "127.0.0.1") -> Engine:
    """A client of one connection that makes no ping."""
    address = Address(host=host, port=engine.port, tls=tls)
    return Engine(address, pinned=ApiVersion.parse("1.51"), max_connections=1, timeout=20)


async def refused(client: Engine, match: str) -> None:
    """Questions and changes alike say that it is TLS that fails, and that nothing happened."""
    for method in ("GET", "POST", "GET"):
        with pytest.raises(EngineUnreachable, match=match) as caught:
            await client.call(method, "/x")
        assert caught.value.reason == "tls"
    await client.aclose()


async def test_over_tls_a_client_shows_its_certificate(authority: Authority) -> None:
    with StubEngine(always(answer()), tls=authority.server(asks_for_certificate=True), keeps=True) as engine:
        client = funnel(engine, authority.context(certificate=True))
        for method in ("GET", "POST", "GET"):
            await client.call(method, "/x")
        assert engine.connections == 1
        await client.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [0, 3_000_000])
async def test_a_client_without_the_certificate_that_is_wanted_is_told_so(
    authority: Authority, version: ssl.TLSVersion, size: int
) -> None:
    wants = authority.server(asks_for_certificate=True)
    wants.minimum_version = wants.maximum_version = version
    with StubEngine(always(answer()), tls=wants) as engine:
        client = funnel(engine, authority.context())
        body = ServiceSpec(name="a", labels={"x": "y" * size})
        for method in ("GET", "POST"):
            with pytest.raises(EngineUnreachable, match=r"TLS: .*(alert|cut off)") as caught:
                await client.call(method, "/x", body=body)
            assert caught.value.reason == "tls"
        assert engine.received == []


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    with StubEngine(always(answer()), tls=Authority(tmp_path).server()) as engine:
        await refused(funnel(engine, authority.context()), "TLS: certificate verify failed: unable to get local issuer")
        assert engine.received == []


async def test_a_certificate_for_another_host_is_refused(authority: Authority) -> None:
    with StubEngine(always(answer()), tls=authority.server("other.example.com")) as engine:
        await refused(funnel(engine, authority.context()), "TLS: certificate verify failed: IP address mismatch")
        await refused(funnel(engine, authority.context(), "localhost"), "verify failed: Hostname mismatch")
        assert engine.received == []


async def test_a_certificate_that_has_expired_is_refused(authority: Authority) -> None:
    with StubEngine(always(answer()), tls=authority.server(not_after=datetime(2002, 1, 1))) as engine:
        await refused(funnel(engine, authority.context()), "TLS: certificate verify failed: certificate has expired")
        assert engine.received == []


async def test_the_systems_certificates_are_trusted_and_no_variable_changes_that(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_cert))
    with StubEngine(always(answer()), tls=authority.server()) as engine:
        await refused(funnel(engine, ssl_context(TLSConfig(), "here")), "TLS: certificate verify failed")
        assert engine.received == []


async def test_only_a_config_that_says_so_verifies_nothing(tmp_path: Path) -> None:
    with StubEngine(always(answer()), tls=Authority(tmp_path).server("other.example.com"), keeps=True) as engine:
        client = funnel(engine, ssl_context(TLSConfig(verify=False), "here"))
        await client.call("POST", "/x")
        await client.aclose()
        assert len(engine.received) == 1


async def test_a_port_without_tls_that_is_spoken_to_with_it_says_so(authority: Authority) -> None:
    raw = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request"
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):
                sock, _ = listener.accept()
                with sock:
                    sock.recv(65536)
                    sock.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        address = Address(host="127.0.0.1", port=listener.getsockname()[1], tls=authority.context())
        await refused(Engine(address, pinned=ApiVersion.parse("1.51")), "is there TLS on that port")
        thread.join()


async def test_a_port_with_tls_that_is_spoken_to_in_the_clear_says_so() -> None:
    raw = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    with StubEngine(always(raw), tcp=True) as engine:
        await refused(funnel(engine, None), "wants TLS")


async def test_tls_older_than_1_2_is_refused(authority: Authority) -> None:
    old = authority.server()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with StubEngine(always(answer()), tls=old) as engine:
        ours = authority.context()
        ours.set_ciphers("ALL:@SECLEVEL=0")  # what is left is the least version
        await refused(funnel(engine, ours), "TLS: .*(protocol|version)")
        assert engine.received == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_tls_says_between_answers_is_no_stray_byte(authority: Authority, version: ssl.TLSVersion) -> None:
    server = authority.server()
    server.minimum_version = server.maximum_version = version
    server.num_tickets = 5 if version == ssl.TLSVersion.TLSv1_3 else server.num_tickets
    with StubEngine(always(answer()), tls=server, keeps=True) as engine:
        transport = EngineTransport(engine.address(authority.context()), max_connections=1)
        for _ in range(5):
            await talk(transport)
        assert engine.connections == 1
        transport.close()


@pytest.mark.parametrize(
    "raw",
    [HEAD + b"\r\nsome", HEAD + b"Content-Length: 9\r\n\r\nsome", HEAD + b"Content-Le", b""],
    ids=["until the end", "sized", "in the head", "nothing"],
)
async def test_over_tls_an_end_that_was_not_announced_is_a_truncation(authority: Authority, raw: bytes) -> None:
    with StubEngine(always(raw), tls=authority.server()) as engine:
        transport = EngineTransport(engine.address(authority.context()), max_connections=1)
        for _ in range(2):
            with pytest.raises(httpx.ReadError, match="cut off"):
                await talk(transport)


async def test_over_tls_an_end_that_was_announced_ends_an_answer(authority: Authority) -> None:
    def say(sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        sock.sendall(HEAD + b"\r\nwhole")
        sock.settimeout(5)
        with contextlib.suppress(OSError):
            sock.unwrap()

    with StubEngine(always(say), tls=authority.server()) as engine:
        transport = EngineTransport(engine.address(authority.context()), max_connections=1)
        assert (200, b"whole") == await talk(transport)
