"""API versions are ordered as numbers, agreed on, and read from what engines say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit.versions import NEWEST, OLDEST, ApiVersion, Since, negotiate, parse_release


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.24", ApiVersion(1, 24)),
        ("1.9", ApiVersion(1, 9)),
        ("v1.41", ApiVersion(1, 41)),
        (" 1.56\n", ApiVersion(1, 56)),
        ("2.0", ApiVersion(2, 0)),
    ],
)
def test_a_version_is_read(text: str, version: ApiVersion) -> None:
    assert version == ApiVersion.parse(text)


@pytest.mark.parametrize(
    "junk", ["", "1", "1.", ".41", "1.41.0", "1,41", "-1.41", "1.-4", "latest", "vv1.41", "1.41beta", "1" * 5 + ".0"]
)
def test_what_is_no_version_is_refused(junk: str) -> None:
    with pytest.raises(ValueError, match="not an API version"):
        ApiVersion.parse(junk)


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    with pytest.raises(ValueError, match="not an API version") as caught:
        ApiVersion.parse("x" * 10_000)

    assert len(str(caught.value)) < 200


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_a_version_is_written_as_it_is_read(major: int, minor: int) -> None:
    assert ApiVersion(major, minor) == ApiVersion.parse(str(ApiVersion(major, minor)))


def test_versions_are_ordered_as_numbers() -> None:
    texts = ["1.100", "1.9", "1.41", "2.0", "1.24"]

    assert ["1.9", "1.24", "1.41", "1.100", "2.0"] == [str(one) for one in sorted(map(ApiVersion.parse, texts))]


@pytest.mark.parametrize(
    ("maximum", "agreed"),
    [
        ("1.12", None),
        ("1.23", None),
        ("1.24", "1.24"),
        ("1.41", "1.41"),
        (str(NEWEST), str(NEWEST)),
        ("1.99", str(NEWEST)),
        ("2.0", str(NEWEST)),
    ],
)
def test_the_newest_version_both_sides_speak_is_agreed_on(maximum: str, agreed: str | None) -> None:
    version = negotiate(ApiVersion.parse(maximum))

    assert agreed == (None if version is None else str(version))


def test_the_range_is_what_is_documented() -> None:
    assert ("1.24", "1.56") == (str(OLDEST), str(NEWEST))


@pytest.mark.parametrize(
    ("server", "release"),
    [
        ("Docker/26.1.5 (linux)", (26, 1, 5)),
        ("Docker/20.10.24+dfsg1 (linux)", (20, 10, 24)),
        ("Docker/17.12.0-ce (linux)", (17, 12, 0)),
        ("Docker/29.0.0-rc.1 (linux)", (29, 0, 0)),
        ("Docker/1.12.6 (windows)", (1, 12, 6)),
        ("Docker/25.0 (linux)", (25, 0, 0)),
        ("Docker/dev (linux)", None),
        ("Docker/0.0.0-dev (linux)", None),
        ("Docker/library-import (linux)", None),
        ("nginx/x", None),
        ("nginx/1.18.0", None),
        ("nginx", None),
        ("", None),
    ],
)
def test_the_release_is_read_from_the_server_header(server: str, release: tuple[int, int, int] | None) -> None:
    assert release == parse_release(server)


def test_a_mark_with_a_malformed_version_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="not an API version"):
        Since("latest")


def test_marks_are_values() -> None:
    assert Since("1.45", release="26.1.0") == Since("1.45", release="26.1.0")
    assert Since("1.45", release="26.1.0") != Since("1.45")
    assert (26, 1, 0) == Since("1.45", release="26.1.0").release
