"""Owns the watch over what tests of credentials make visible: no password may be in it, in any coding.

Must not know which credentials a test uses: it looks at every RegistryAuth that is made.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any, Final

import pytest

from swarmkit import RegistryAuth, ServiceCreated, ServiceUpdated, SwarmClient, SwarmkitError, auth
from swarmkit._helper import Run
from swarmkit._pinning import ImageChange
from swarmkit.services import Services

_SHORTEST: Final = 7
"""Shorter passwords, as some tests have, are in every text."""


class Watch(logging.Handler):
    """Everything that was shown, by kind, and the secrets that were around; names of users are none."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.shown: list[tuple[str, str]] = []
        self.made: list[object] = []
        self.secrets: set[str] = set()
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.shown.append(("log", self.format(record)))

    def notice(self, made: object) -> None:
        """Look at an object when all is over."""
        self.made.append(made)
        if isinstance(made, RegistryAuth):
            self.names.add(made.username)
            header = made.header()
            for secret in (made.password, made.identity_token, made.registry_token):
                if len(secret) >= _SHORTEST:
                    pair = f"{made.username}:{secret}".encode(errors="backslashreplace")
                    self.secrets |= {secret, header, header.rstrip("=")}
                    self.secrets |= {b64encode(pair).decode(), urlsafe_b64encode(pair).decode()}

    def look(self) -> Counter[str]:
        """Show all that was made in every way that there is; how many texts of each kind there were.

        Raises:
            AssertionError: a secret is in one.
        """
        for made in self.made:
            self.shown += [("repr", repr(made)), ("str", str(made)), ("list", repr([made]))]
            with contextlib.suppress(Exception):  # what cannot be pickled shows nothing
                self.shown.append(("pickle", pickle.dumps(made).decode("latin-1")))
            if isinstance(made, BaseException):
                self.shown.append(("exception", "".join(traceback.format_exception(made))))
                self.shown += [("exception", repr(one)) for one in _chain(made)]
            if isinstance(made, ServiceCreated | ServiceUpdated | auth.Lookup):
                self.shown += [("warning", warning) for warning in made.warnings]
        secrets = [secret for secret in self.secrets if not any(secret in name for name in self.names)]
        leaks = [kind for kind, text in self.shown if any(secret in text for secret in secrets)]
        assert [] == leaks
        return Counter(kind for kind, _ in self.shown)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Generator[Watch]:
    """Watch over everything within the block."""
    watch = Watch()
    for kind in (SwarmkitError, RegistryAuth, SwarmClient, Services, ImageChange, Run):
        monkeypatch.setattr(kind, "__init__", _noticed(watch, kind.__init__))
    for place, name in ((auth, "lookup"), (ImageChange, "prepare"), (Services, "create"), (Services, "_change")):
        monkeypatch.setattr(place, name, _answered(watch, getattr(place, name)))
    root = logging.getLogger()
    level = root.level
    root.addHandler(watch)
    root.setLevel(logging.DEBUG)
    try:
        yield watch
    finally:
        root.removeHandler(watch)
        root.setLevel(level)
        monkeypatch.undo()


def _noticed(watch: Watch, init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def noticing(self: object, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        watch.notice(self)

    return noticing


def _answered(watch: Watch, call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    async def noticing(*args: Any, **options: Any) -> Any:
        answer = await call(*args, **options)
        watch.notice(answer)
        return answer

    return noticing


@pytest.fixture
def nothing_shows() -> Iterator[Watch]:
    """Fail where a test made a secret visible."""
    with pytest.MonkeyPatch.context() as monkeypatch, watching(monkeypatch) as watch:
        yield watch
        watch.look()
