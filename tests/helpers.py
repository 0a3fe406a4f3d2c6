"""Owns credential helpers for tests: scripts under the names by which Docker finds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def put_helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a shell script the helper of that name; what it is asked comes on its standard input."""
    folder.mkdir(exist_ok=True)
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    if str(folder) not in (before := os.environ["PATH"]).split(os.pathsep):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{before}")
    return path
