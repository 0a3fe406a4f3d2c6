"""What is said over a connection: the bytes of a request, and the head of its answer. Must not know: sockets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import httpx

Headers = Iterable[tuple[bytes, bytes]]

_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_HEADER_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


@dataclass(slots=True)
class Attempt:
    """How far one attempt to send a request has come."""

    sent: int | None = None
    """Bytes of the request that were taken; None where the transport does not tell."""

    @property
    def untouched(self) -> bool:
        """Certainly nothing of the request was taken."""
        return self.sent == 0


@dataclass(slots=True)
class Answer:
    """The head of an answer; its body is still to be read."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: httpx.AsyncByteStream

    def header(self, name: bytes) -> str:
        """The value of a header, named in lower case; empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


def render(
    method: str, target: bytes, headers: Headers, body: bytes, *, usual: tuple[tuple[bytes, bytes], ...] = ()
) -> bytes:
    """The bytes of a request. `usual` are headers that many requests share.

    Raises:
        httpx.LocalProtocolError: its target or a header holds what HTTP does not allow.
    """
    if _TARGET.fullmatch(target) is None:
        raise httpx.LocalProtocolError("the request target has a character that HTTP does not allow")
    return b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method.encode("ascii"), target, _usual(usual), _lines(headers), body)


def _lines(headers: Headers) -> bytes:
    lines: list[bytes] = []
    for name, value in headers:
        if _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            raise httpx.LocalProtocolError(f"the header {name!r} has a character that HTTP does not allow")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


_usual = lru_cache(maxsize=8)(_lines)
