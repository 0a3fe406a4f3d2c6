"""Owns the command line of the harness: `python -m tests.harness fetch`."""

from __future__ import annotations

import sys

from tests.harness.packages import HarnessError, engines_dir, fetch


def main(arguments: list[str]) -> int:
    """Fetch the engines and print one line for each; any other command is refused."""
    if arguments != ["fetch"]:
        print("usage: python -m tests.harness fetch", file=sys.stderr)
        return 2
    try:
        held = fetch()
    except HarnessError as error:
        print(f"tests.harness: {error}", file=sys.stderr)
        return 1
    for folder, packages in held.items():
        print(f"{folder}: {packages} in {engines_dir() / folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
