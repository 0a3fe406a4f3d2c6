"""Log frames and lines come out whole however the bytes come in, and an end in the middle is never silent."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmkit._framing import Entry, FrameDecoder, FramingError, LineDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = ("stdin", "stdout", "stderr")


def frame(kind: int, data: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def decoded(decoder: FrameDecoder | LineDecoder, chunks: Iterable[bytes]) -> list[Entry]:
    """Everything that comes out, the end included."""
    return [entry for chunk in chunks for entry in decoder.feed(chunk)] + list(decoder.end())


STREAM = frame(1, b"hello\n") + frame(2, "é\n".encode()) + frame(1, b"") + frame(0, b"\0\x01") + frame(1, b"x" * 300)
ENTRIES = [
    ("stdout", b"hello\n"),
    ("stderr", "é\n".encode()),
    ("stdin", b"\0\x01"),
    ("stdout", b"x" * 300),
]


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_frames_cut_at_any_byte_come_out_whole(cut: int) -> None:
    assert ENTRIES == decoded(FrameDecoder(), [STREAM[:cut], STREAM[cut:]])


def test_frames_that_come_byte_by_byte_come_out_whole() -> None:
    assert ENTRIES == decoded(FrameDecoder(), [bytes([byte]) for byte in STREAM])


def test_a_frame_comes_out_as_soon_as_it_is_whole() -> None:
    decoder = FrameDecoder()

    assert [] == list(decoder.feed(STREAM[:13]))
    assert ENTRIES[:1] == list(decoder.feed(STREAM[13:20]))


@given(
    st.lists(st.tuples(st.sampled_from((0, 1, 2)), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_any_frames_in_any_pieces_come_out_in_order(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frame(kind, data) for kind, data in frames)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[begin:end] for begin, end in pairwise(places)]

    expected = [(NAMES[kind], data) for kind, data in frames if data]
    assert expected == [tuple(entry) for entry in decoded(FrameDecoder(), chunks)]


def test_an_error_of_the_engine_is_told_in_its_words() -> None:
    with pytest.raises(FramingError) as caught:
        list(FrameDecoder().feed(frame(3, b"Error grabbing logs: incomplete\n") + frame(1, b"b\n")))

    assert "Error grabbing logs: incomplete" == str(caught.value)
    assert caught.value.by_engine


def test_what_came_before_an_error_of_the_engine_is_delivered() -> None:
    got: list[Entry] = []
    with pytest.raises(FramingError):
        for entry in FrameDecoder().feed(frame(1, b"a\n") + frame(3, b"\xff")):
            got.append(entry)  # noqa: PERF402 -- what was got until the error is the point

    assert [("stdout", b"a\n")] == got


@pytest.mark.parametrize(
    "junk",
    [
        frame(4, b"x"),
        frame(255, b"x"),
        b"\x01\x01\0\0\0\0\0\x01x",
        b"\x01\0\0\x01\0\0\0\x01x",
        bytes([1, 0, 0, 0]) + (16 * 1024 * 1024 + 1).to_bytes(4, "big"),
        bytes([1, 0, 0, 0, 255, 255, 255, 255]),
        b"hello, I am plain text\n",
        b'{"message":"x"}\n',
    ],
    ids=repr,
)
def test_what_is_no_frame_is_an_error_before_it_is_waited_for(junk: bytes) -> None:
    with pytest.raises(FramingError, match="no frame") as caught:
        list(FrameDecoder().feed(junk))

    assert not caught.value.by_engine


def test_a_frame_of_16_mib_is_still_one() -> None:
    data = b"x" * (16 * 1024 * 1024)

    assert [("stdout", data)] == decoded(FrameDecoder(), [frame(1, data)])


@pytest.mark.parametrize("cut", range(1, 14))
def test_an_end_inside_a_frame_is_an_error(cut: int) -> None:
    decoder = FrameDecoder()
    list(decoder.feed(frame(1, b"a\n") + frame(2, b"hello\n")[:cut]))
    with pytest.raises(FramingError, match="ended inside a frame") as caught:
        decoder.end()

    assert not caught.value.by_engine


@pytest.mark.parametrize("stream", [b"", frame(1, b"a\n"), frame(1, b"")])
def test_an_end_between_frames_is_an_end(stream: bytes) -> None:
    decoder = FrameDecoder()
    list(decoder.feed(stream))

    assert [] == list(decoder.end())


def test_a_reader_that_stops_between_two_frames_can_go_on() -> None:
    decoder = FrameDecoder()
    for _ in decoder.feed(frame(1, b"a\n") + frame(1, b"b\n")):
        break

    assert [("stdout", b"b\n"), ("stdout", b"c\n")] == list(decoder.feed(frame(1, b"c\n")))


# --- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"", []),
        (b"a\r\nb\r\n", [b"a\r\n", b"b\r\n"]),
        (b"a\nb", [b"a\n", b"b"]),
        (b"\r\n\n", [b"\r\n", b"\n"]),
        (b"50%\r100%\r\n", [b"50%\r100%\r\n"]),
        ("é\r\n".encode(), ["é\r\n".encode()]),
        (frame(1, b"x"), [frame(1, b"x")]),
    ],
)
def test_what_a_terminal_wrote_comes_out_in_lines(stream: bytes, lines: list[bytes]) -> None:
    for cut in range(len(stream) + 1):
        assert [("stdout", line) for line in lines] == decoded(LineDecoder(), [stream[:cut], stream[cut:]])


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_no_byte_of_a_line_is_lost_however_it_comes(chunks: list[bytes]) -> None:
    stream = b"".join(chunks)

    assert stream == b"".join(data for _, data in decoded(LineDecoder(), chunks))


def test_a_line_comes_out_as_soon_as_it_ends() -> None:
    decoder = LineDecoder()

    assert [] == list(decoder.feed(b"hello"))
    assert [("stdout", b"hello\n")] == list(decoder.feed(b"\nwor"))
    assert [("stdout", b"wor")] == list(decoder.end())
    assert [] == list(decoder.end())


def test_a_line_that_never_ends_is_an_error_and_not_all_the_memory() -> None:
    decoder = LineDecoder()
    with pytest.raises(FramingError, match="too long"):
        for _ in range(40):
            decoder.feed(b"x" * 512 * 1024)
