"""The very small shell in which tasks of the embedded engine run their scripts."""

from __future__ import annotations

import itertools
import math

import pytest

from swarmkit.testing._shell import STDERR, STDOUT, Container, Out, program_of


def run(script: str, *arguments: str, **env: str) -> tuple[str, str, float, int | None]:
    """What a script writes on either stream, how long it sleeps, and its exit code; None if it goes on for ever."""
    files = {"/run/secrets/key": (b"s3cr3t", 0o400), "/lines": (b"1\n2\n3\n", 0o644)}
    program = program_of(Container("busybox", ["sh", "-c", script, *arguments], env, "host", files))
    assert program is not None
    written = {STDOUT: b"", STDERR: b""}
    slept = 0.0
    try:
        while slept < 1000:
            step = next(program)
            if isinstance(step, Out):
                written[step.stream] += step.data
            else:
                slept += step
    except StopIteration as end:
        return written[STDOUT].decode(), written[STDERR].decode(), round(slept, 2), end.value
    return written[STDOUT].decode(), written[STDERR].decode(), slept, None


@pytest.mark.parametrize(
    ("script", "out", "code"),
    [
        ("echo hello; sleep 1; exit 3", "hello\n", 3),
        ("echo -n a; echo -e 'b\\tc'; echo", "ab\tc\n\n", 0),
        ("printf '%s-%d%%\\n' a 5 b", "a-5%\n", 0),
        ("printf '\\101\\x'", "A\\x", 0),
        ("for i in a 'b c' $(seq 2); do echo $i; done", "a\nb c\n1\n2\n", 0),
        ("seq 2 4 | head -n 2", "2\n3\n", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done", "1\n2\n3\n", 0),
        ("i=3; until [ $i -eq 0 ]; do i=$(( $i - 1 )); done; echo $i", "0\n", 0),
        ("true && echo a || echo b; false && echo c || echo d", "a\nd\n", 0),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n", 0),
        ("if [ -z x ]; then echo a; else echo b; fi; if false; then echo c; fi", "b\n", 0),
        ("(echo a; echo b) | tr ab xy", "x\ny\n", 0),
        ("cat /run/secrets/key; echo; ls -l /run/secrets/key | cut -c1-10", "s3cr3t\n-r--------\n", 0),
        ("cat < /lines | head -c 3", "1\n2", 0),
        ("echo kept > /f; cat /f; echo gone > /dev/null", "kept\n", 0),
        ('X="a  b"; echo $X "$X" \'$X\' ${Y:-c} \\$X "\\$X" "\\q"', "a b a  b $X c $X $X \\q\n", 0),
        ("echo $GIVEN $# $@ $? $0 $2 $9", "yes 2 one two 0 sh two\n", 0),
        ("[ a = a ] && [ a != b ] && [ 1 -le 2 ] && [ 3 -gt 2 ] && [ 2 -ge 2 ] && [ 1 -ne 2 ] && echo yes", "yes\n", 0),
        ("test -f /lines && test -n x && [ x ] && echo yes", "yes\n", 0),
        ("[ a b c d ]", "", 2),
        ("hostname; env | head -n 1", "host\nGIVEN=yes\n", 0),
        ("exec echo replaced", "replaced\n", 0),
        ("set -e; export A=1; trap 'x' TERM; wait; :", "", 0),
        ("# a comment\necho a # another\n\necho b", "a\nb\n", 0),
        ("echo a \\\n b", "a b\n", 0),
        ("echo $((2*3)) $((7/2)) $((7%4)) $((2-5)) $((5))", "6 3 3 -3 5\n", 0),
        ("exit", "", 0),
        ("false; exit", "", 1),
        ("false", "", 1),
        ("echo $((a b))", "", 2),
        ("head /lines", "1\n2\n3\n", 0),
    ],
)
def test_a_script_writes_what_a_shell_would_write(script: str, out: str, code: int) -> None:
    arguments = ("sh", "one", "two")
    written, _, _, ended = run(script, *arguments, GIVEN="yes")
    assert (written, ended) == (out, code)


@pytest.mark.parametrize(
    ("script", "err", "code"),
    [
        ("nope --now", "sh: nope: not found\n", 127),
        ("cat /nope", "cat: can't open '/nope': No such file or directory\n", 1),
        ("ls /nope", "ls: /nope: No such file or directory\n", 1),
        ("sleep soon", "sleep: invalid number 'soon'\n", 1),
        ("echo both >&2; echo out 1>&2", "both\nout\n", 0),
        ("nope 2>/dev/null", "", 127),
    ],
)
def test_what_goes_wrong_is_said_on_stderr(script: str, err: str, code: int) -> None:
    _, written, _, ended = run(script)
    assert (written, ended) == (err, code)


def test_errors_can_be_sent_to_the_output() -> None:
    assert ("sh: nope: not found\n", "") == run("nope 2>&1")[:2]


def test_sleeping_takes_virtual_time() -> None:
    assert 93.5 == run("sleep 1.5; sleep 1m 2; sleep 30s")[2]


@pytest.mark.parametrize(
    "script", ["while :; do sleep 0.1; done", "while true; do sleep 1; done", "sleep infinity", "sleep inf"]
)
def test_what_does_nothing_for_ever_is_one_step(script: str) -> None:
    program = program_of(Container("busybox", ["/bin/sh", "-c", script], {}))
    assert program is not None
    assert math.inf in (step for step in itertools.islice(program, 2) if step)


def test_a_command_without_a_shell_is_run_as_well_and_an_unknown_one_is_none_of_its_business() -> None:
    for argv, code in ((["true"], 0), (["/bin/false"], 1), (["sleep", "5"], 0)):
        program = program_of(Container("busybox", argv, {}))
        assert program is not None
        with pytest.raises(StopIteration) as ended:
            while True:
                next(program)
        assert ended.value.value == code
    assert program_of(Container("nginx", [], {})) is None
    assert program_of(Container("nginx", ["nginx", "-g", "daemon off;"], {})) is None
