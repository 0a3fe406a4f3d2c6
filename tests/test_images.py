"""Image references are read as Docker reads them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit.errors import InvalidReference
from swarmkit.images import ImageReference

SHA = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", None, None),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", None),
        (f"nginx@{SHA}", "docker.io", "library/nginx", None, SHA),
        (f"nginx:1.27@{SHA}", "docker.io", "library/nginx", "1.27", SHA),
        ("nginx@sha384:" + "a" * 96, "docker.io", "library/nginx", None, "sha384:" + "a" * 96),
        ("nginx@sha512:" + "a" * 128, "docker.io", "library/nginx", None, "sha512:" + "a" * 128),
        ("docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("docker.io/library/nginx", "docker.io", "library/nginx", None, None),
        ("index.docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("index.docker.io/grafana/loki:2", "docker.io", "grafana/loki", "2", None),
        ("grafana/loki", "docker.io", "grafana/loki", None, None),
        ("a/b/c", "docker.io", "a/b/c", None, None),
        ("localhost/x", "localhost", "x", None, None),
        ("localhost:5000/x:y", "localhost:5000", "x", "y", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        ("ghcr.io/o/r/x", "ghcr.io", "o/r/x", None, None),
        (f"ghcr.io/x@{SHA}", "ghcr.io", "x", None, SHA),
        ("registry.example.com:443/team/app:V1_2-rc.3", "registry.example.com:443", "team/app", "V1_2-rc.3", None),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", None, None),
        ("[::1]:5000/x:y", "[::1]:5000", "x", "y", None),
        ("[2001:db8::1]/x", "[2001:db8::1]", "x", None, None),
        ("MyHost/x", "MyHost", "x", None, None),
        ("a__b/c-d.e_f--g", "docker.io", "a__b/c-d.e_f--g", None, None),
        ("x:" + "t" * 128, "docker.io", "library/x", "t" * 128, None),
        ("x:_", "docker.io", "library/x", "_", None),
        ("f" * 63, "docker.io", "library/" + "f" * 63, None, None),
    ],
)
def test_a_reference_is_read(text: str, domain: str, path: str, tag: str | None, digest: str | None) -> None:
    assert ImageReference(domain, path, tag, digest) == ImageReference.parse(text)


@pytest.mark.parametrize(
    "junk",
    [
        "",
        " ",
        "INVALID IMAGE",
        "Foo",
        "foo/Bar",
        "Foo/Bar",
        ":latest",
        "nginx:",
        "nginx:a b",
        "nginx:-a",
        "nginx:.a",
        "nginx:" + "t" * 129,
        "nginx@",
        "nginx@sha256",
        "nginx@sha256:abc",
        "nginx@sha256:" + "0" * 32,
        "nginx@sha256:" + "0" * 65,
        "nginx@sha256:" + "A" * 64,
        "nginx@sha512:" + "0" * 64,
        "nginx@md5:" + "0" * 32,
        f"nginx@{SHA}@{SHA}",
        f"nginx@{SHA}:tag",
        f"@{SHA}",
        "/nginx",
        "nginx/",
        "a//b",
        "ghcr.io/",
        "ghcr.io//x",
        "-a/b",
        "a-/b",
        "a___b",
        "a..b/c",
        "a._b",
        ".a",
        "https://ghcr.io/x",
        "ghcr.io:/x",
        "ghcr.io:port/x",
        "[::1/x",
        "nginx\n",
        "nginx:1\n",
        "nğinx",
        "nginx:é",
        "../x",
        "x?y",
        "a" * 64,
        "a/" * 200 + "a",
    ],
)
def test_what_is_no_reference_is_refused(junk: str) -> None:
    with pytest.raises(InvalidReference, match="not an image reference"):
        ImageReference.parse(junk)


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/nginx:1", "nginx:1"),
        ("nginx", "nginx"),
        (f"docker.io/library/nginx@{SHA}", f"nginx@{SHA}"),
        ("docker.io/grafana/loki", "grafana/loki"),
        ("ghcr.io/x", "ghcr.io/x"),
        ("docker.io/library/team/app", "library/team/app"),
        ("docker.io/localhost/app", "docker.io/localhost/app"),
        ("docker.io/my.host/app:1", "docker.io/my.host/app:1"),
        ("docker.io/library/" + "a" * 64, "library/" + "a" * 64),
    ],
)
def test_the_familiar_form_leaves_out_what_goes_without_saying(text: str, familiar: str) -> None:
    assert familiar == ImageReference.parse(text).familiar


def test_the_normalized_form_leaves_out_nothing_but_the_tag() -> None:
    assert "docker.io/library/nginx" == ImageReference.parse("nginx").normalized
    assert f"ghcr.io/x:1@{SHA}" == ImageReference.parse(f"ghcr.io/x:1@{SHA}").normalized


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1", "nginx:1"),
        (f"nginx@{SHA}", f"nginx@{SHA}"),
        (f"ghcr.io/x:1@{SHA}", f"ghcr.io/x:1@{SHA}"),
    ],
)
def test_latest_is_meant_where_there_is_neither_tag_nor_digest(text: str, tagged: str) -> None:
    assert tagged == ImageReference.parse(text).with_tag().familiar


def test_a_digest_is_put_beside_the_tag() -> None:
    assert f"nginx:1@{SHA}" == ImageReference.parse("nginx:1").with_digest(SHA).familiar
    assert f"nginx@{SHA}" == ImageReference.parse(f"nginx@sha512:{'0' * 128}").with_digest(SHA).familiar
    for wrong in ("", "latest", SHA[:-1], f"{SHA}\n", SHA.upper()):
        with pytest.raises(InvalidReference, match="not a digest"):
            ImageReference.parse("nginx:1").with_digest(wrong)


COMPONENT = st.from_regex(r"\A[a-z0-9]{1,4}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}\Z")
DOMAIN = st.one_of(
    st.just("docker.io"),
    st.just("localhost"),
    st.from_regex(r"\A[a-z0-9]{1,5}\.[a-z]{2,3}(?::[0-9]{1,5})?\Z"),
    st.just("[::1]:5000"),
)
REFERENCES = st.builds(
    ImageReference,
    DOMAIN,
    st.lists(COMPONENT, min_size=2, max_size=4).map("/".join),
    st.none() | st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}\Z"),
    st.none() | st.just(SHA),
)


@given(REFERENCES)
def test_any_reference_is_read_back_from_both_of_its_forms(reference: ImageReference) -> None:
    assert reference == ImageReference.parse(reference.normalized)
    assert reference == ImageReference.parse(reference.familiar)


@given(st.text(st.sampled_from("aA0.:/-_@[]é \n"), max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except InvalidReference:
        return
    assert reference == ImageReference.parse(reference.normalized)
    assert reference == ImageReference.parse(reference.familiar)


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000 + "!", "a-" * 100_000, "a." * 100_000 + "/", "x:" + "t" * 200_000, "[" * 200_000],
    ids=lambda text: text[:3],
)
def test_a_long_text_takes_no_long_time(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(InvalidReference) as caught:
        ImageReference.parse(text)

    assert time.perf_counter() - began < 2
    assert len(str(caught.value)) < 400
