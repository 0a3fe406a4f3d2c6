"""A very small shell: enough of `sh -c` for the scripts that tests and examples run, in virtual time.

Owns: words, lists, pipes, `if`, `while`, `until`, `for`, redirections, and a dozen commands. What it does not know it
says on stderr, and the command fails with 127. Must not know: tasks, or who reads what is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

STDOUT, STDERR = 1, 2


class Out(NamedTuple):
    """Something written to a stream."""

    stream: int
    data: bytes


Program = Generator[float | Out, None, int]
"""What a container does: it yields what it writes and the seconds it sleeps, and returns its exit code."""


@dataclass(slots=True)
class Container:
    """What a program finds around it."""

    image: str
    argv: list[str]
    env: dict[str, str]
    hostname: str = ""
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict[str, tuple[bytes, int]])
    """Content and permission bits of files, by path."""


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


def program_of(container: Container) -> Program | None:
    """The program that a container's command line is, if it is one that this module knows."""
    argv = container.argv
    shell = _Shell(container)
    if len(argv) >= 3 and argv[0].rpartition("/")[2] in ("sh", "bash", "ash") and argv[1] in ("-c", "-ec"):
        shell.name, shell.arguments = (argv[3:4] or ["sh"])[0], argv[4:]
        return shell.script(argv[2])
    if argv and argv[0].rpartition("/")[2] in _COMMANDS:
        return shell.command([argv[0].rpartition("/")[2], *argv[1:]])
    return None


# --- reading -----------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"(?P<space>[ \t]+|\\\n|\#[^\n]*)"
    r"|(?P<op>[0-9]?>&[0-9-]|[0-9]?>>?|[0-9]?<|&&|\|\||[;&|\n()])"
    r"""|(?P<word>(?:[^\s;&|<>()'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|(?<=\$)\((?:[^()]|\([^()]*\))*\))+)"""
)
_PART: Final = re.compile(
    r"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>(?:[^'"\\]|\\.)+)""", re.DOTALL
)
_EXPANSION: Final = re.compile(
    r"\$\(\((?P<sum>.*?)\)\)|\$\((?P<inner>(?:[^()]|\([^()]*\))*)\)|\$\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}"
    r"|\$(?P<name>\w+|[?#@*$])|\\(?P<escaped>.)",
    re.DOTALL,
)
_ENDS: Final = {"then", "do", "done", "fi", "else", "elif", ")"}


@dataclass(slots=True)
class _Node:
    kind: str
    words: list[str] = field(default_factory=list[str])
    parts: list[_Node] = field(default_factory=list["_Node"])
    redirects: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = [match[0] for match in _TOKEN.finditer(text) if match.lastgroup != "space"]
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1] if self._at <= len(self._tokens) else ""

    def list(self) -> _Node:
        """Commands up to the end or a word that ends them."""
        node = _Node("list")
        while (token := self.peek()) and token not in _ENDS:
            if token in (";", "\n", "&"):
                self.take()
                continue
            node.parts.append(self._chain())
        return node

    def _chain(self) -> _Node:
        left = self._pipe()
        while self.peek() in ("&&", "||"):
            operator = self.take()
            while self.peek() == "\n":
                self.take()
            left = _Node(operator, parts=[left, self._pipe()])
        return left

    def _pipe(self) -> _Node:
        parts = [self._command()]
        while self.peek() == "|":
            self.take()
            parts.append(self._command())
        return parts[0] if len(parts) == 1 else _Node("pipe", parts=parts)

    def _command(self) -> _Node:
        match self.peek():
            case "if" | "elif" as word:
                self.take()
                node = _Node("if", parts=[self._until("then")])
                node.parts.append(self.list())
                if self.peek() == "elif":
                    node.parts.append(self._command())
                    return node
                if self.peek() == "else":
                    self.take()
                    node.parts.append(self.list())
                del word
                self.take()
            case "while" | "until" as word:
                self.take()
                node = _Node(word, parts=[self._until("do"), self._until("done")])
            case "for":
                self.take()
                node = _Node("for", words=[self.take()])
                if self.peek() == "in":
                    self.take()
                    while self.peek() not in (";", "\n", ""):
                        node.words.append(self.take())
                while self.peek() in (";", "\n"):
                    self.take()
                self.take()
                node.parts.append(self._until("done"))
            case "(":
                self.take()
                node = self._until(")")
            case _:
                node = _Node("command")
        while (token := self.peek()) and token not in (";", "\n", "&", "&&", "||", "|", ")"):
            token = self.take()
            if re.fullmatch(r"[0-9]?(>&[0-9-]|>>?|<)", token):
                node.redirects.append((token, "" if "&" in token else self.take()))
            else:
                node.words.append(token)
        return node

    def _until(self, end: str) -> _Node:
        node = self.list()
        if self.peek() == end:
            self.take()
        return node


# --- doing -------------------------------------------------------------------------------------------------------


class _Shell:
    def __init__(self, container: Container) -> None:
        self.container = container
        self.variables = dict(container.env)
        self.name = "sh"
        self.arguments: list[str] = []
        self.input = b""
        self.status = 0

    def script(self, text: str) -> Program:
        try:
            return (yield from self._do(_Reader(text).list()))
        except _Exit as end:
            return end.code

    def command(self, argv: list[str]) -> Program:
        try:
            return (yield from _COMMANDS[argv[0]](self, argv[1:]))
        except _Exit as end:
            return end.code

    def _do(self, node: _Node) -> Program:
        steps = self._parts(node)
        for operator, target in reversed(node.redirects):
            steps = self._redirected(steps, operator, "".join(self._words(target)))
        self.status = yield from steps
        return self.status

    def _parts(self, node: _Node) -> Program:
        parts = node.parts
        match node.kind:
            case "list":
                for part in parts:
                    yield from self._do(part)
                return self.status
            case "&&" | "||":
                code = yield from self._do(parts[0])
                return (yield from self._do(parts[1])) if (code == 0) == (node.kind == "&&") else code
            case "pipe":
                for part in parts[:-1]:
                    written = bytearray()
                    yield from self._captured(self._do(part), written)
                    self.input = bytes(written)
                return (yield from self._do(parts[-1]))
            case "if":
                if (yield from self._do(parts[0])) == 0:
                    return (yield from self._do(parts[1]))
                return (yield from self._do(parts[2])) if len(parts) > 2 else 0
            case "while" | "until":
                if node.kind == "while" and _is_idle(parts[0], (":", "true")) and _is_idle(parts[1], ("sleep",)):
                    yield math.inf  # it does nothing for ever, so nothing needs to be done again and again
                while ((yield from self._do(parts[0])) == 0) == (node.kind == "while"):
                    yield from self._do(parts[1])
                    yield 0.0001  # a loop without a pause takes its time, too
                return 0
            case "for":
                for value in [word for text in node.words[1:] for word in self._words(text)]:
                    self.variables[node.words[0]] = value
                    yield from self._do(parts[0])
                return self.status
            case _:
                return (yield from self._simple(node.words))

    def _simple(self, texts: list[str]) -> Program:
        assigned = 0
        for text in texts:
            if not re.match(r"[A-Za-z_]\w*=", text):
                break
            name, _, value = text.partition("=")
            self.variables[name] = " ".join(self._words(value))
            assigned += 1
        words = [word for text in texts[assigned:] for word in self._words(text)]
        if not words:
            return 0
        known = _COMMANDS.get(words[0].rpartition("/")[2])
        if known is None:
            yield Out(STDERR, f"sh: {words[0]}: not found\n".encode())
            return 127
        return (yield from known(self, words[1:]))

    def _captured(self, steps: Program, into: bytearray) -> Program:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return int(end.value)
            if isinstance(step, Out) and step.stream == STDOUT:
                into += step.data
            else:
                yield step

    def _redirected(self, steps: Program, operator: str, target: str) -> Program:
        stream = int(operator[0]) if operator[0].isdigit() else STDOUT
        to = {"1": STDOUT, "2": STDERR}.get(operator[-1]) if "&" in operator else None
        if "<" in operator:
            self.input = self.container.files.get(target, (b"", 0))[0]
            return (yield from steps)
        written = bytearray()
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                if to is None and target:
                    self.container.files[target] = bytes(written), 0o644
                return int(end.value)
            if not (isinstance(step, Out) and step.stream == stream):
                yield step
            elif to is not None:
                yield Out(to, step.data)
            else:
                written += step.data

    # --- words -------------------------------------------------------------------------------------------------------

    def _words(self, text: str) -> list[str]:
        """The words that one becomes."""
        words, current, quoted = list[str](), "", False
        for part in _PART.finditer(text):
            if part.lastgroup == "single":
                current, quoted = current + part["single"], True
            elif part.lastgroup == "double":
                current, quoted = current + self._expand(part["double"], in_quotes=True), True
            else:
                expanded = self._expand(part["plain"], in_quotes=False)
                pieces = re.split(r"\s+", expanded) if "$" in part["plain"] else [expanded]
                for piece in pieces[:-1]:
                    if current + piece:
                        words.append(current + piece)
                    current = ""
                current += pieces[-1]
        return [*words, current] if current or quoted else words

    def _expand(self, text: str, *, in_quotes: bool) -> str:
        def one(match: re.Match[str]) -> str:
            if match["sum"] is not None:
                return str(self._sum(match["sum"]))
            if match["inner"] is not None:
                written = bytearray()
                for _ in self._captured(self._do(_Reader(match["inner"]).list()), written):
                    pass
                return written.decode(errors="replace").rstrip("\n")
            if match["escaped"] is not None:
                keeps = in_quotes and match["escaped"] not in '$"\\`\n'
                return ("\\" if keeps else "") + match["escaped"]
            name = match["braced"] or match["name"]
            special = {"?": str(self.status), "#": str(len(self.arguments)), "$": "1", "0": self.name}
            special |= {str(number): text for number, text in enumerate(self.arguments, 1)}
            if name in "@*":
                return " ".join(self.arguments)
            return self.variables.get(name) or match["default"] or special.get(name, "")

        return _EXPANSION.sub(one, text)

    def _sum(self, text: str) -> int:
        numbers = re.sub(r"\$?([A-Za-z_]\w*)", lambda name: self.variables.get(name[1]) or "0", text)
        total = re.fullmatch(r"\s*(-?\d+)(?:\s*([-+*/%])\s*(-?\d+))?\s*", numbers)
        if total is None:
            raise _Exit(2)
        left, operator, right = int(total[1]), total[2] or "+", int(total[3] or 0)
        return _SUMS[operator](left, right)


_SUMS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__, "%": int.__mod__,
}  # fmt: skip


def _is_idle(node: _Node, commands: tuple[str, ...]) -> bool:
    return node.kind in ("list", "command") and not node.redirects and (
        all(_is_idle(part, commands) for part in node.parts) and (not node.words or node.words[0] in commands)
    )  # fmt: skip


# --- commands ----------------------------------------------------------------------------------------------------

_ESCAPES: Final = {"n": b"\n", "t": b"\t", "r": b"\r", "\\": b"\\", "a": b"\a", "e": b"\x1b"}


def _unescape(text: str) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 8) & 0xFF])
        return _ESCAPES.get(match[2].decode(errors="replace"), match[0])

    return re.sub(rb"\\(?:0?([0-7]{1,3})|(.))", one, text.encode(errors="surrogateescape"))


def _echo(shell: _Shell, words: list[str]) -> Program:
    end, escapes = b"\n", False
    while words and words[0] in ("-n", "-e", "-ne", "-en"):
        end, escapes = (b"" if "n" in words[0] else end), escapes or "e" in words[0]
        words = words[1:]
    text = " ".join(words)
    yield Out(STDOUT, (_unescape(text) if escapes else text.encode(errors="surrogateescape")) + end)
    return 0


def _printf(shell: _Shell, words: list[str]) -> Program:
    values: Iterator[str] = iter(words[1:])

    def one(match: re.Match[bytes]) -> bytes:
        if match[0] == b"%%":
            return b"%"
        value = next(values, "")
        return (value or "0").encode() if match[1] in b"di" else value.encode(errors="surrogateescape")

    yield Out(STDOUT, re.sub(rb"%(?:%|[-0-9.]*([sdi]))", one, _unescape(words[0] if words else "")))
    return 0


def _sleep(shell: _Shell, words: list[str]) -> Program:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    for word in words:
        match = re.fullmatch(r"(\d*\.?\d+)([smhd]?)|inf(?:inity)?", word)
        if match is None:
            yield Out(STDERR, f"sleep: invalid number '{word}'\n".encode())
            return 1
        yield float(match[1]) * units[match[2] or "s"] if match[1] else math.inf
    return 0


def _exit(shell: _Shell, words: list[str]) -> Program:
    yield 0
    raise _Exit(int(words[0]) & 0xFF if words else shell.status)


def _constant(code: int) -> _Command:
    def command(shell: _Shell, words: list[str]) -> Program:
        yield 0
        return code

    return command


def _seq(shell: _Shell, words: list[str]) -> Program:
    first, last = (1, int(words[0])) if len(words) == 1 else (int(words[0]), int(words[-1]))
    yield Out(STDOUT, "".join(f"{number}\n" for number in range(first, last + 1)).encode())
    return 0


def _read_files(shell: _Shell, names: list[str]) -> Program:
    data, code = b"" if names else shell.input, 0
    for name in names:
        if name not in shell.container.files:
            yield Out(STDERR, f"cat: can't open '{name}': No such file or directory\n".encode())
            code = 1
        data += shell.container.files.get(name, (b"", 0))[0]
    if data:
        yield Out(STDOUT, data)
    return code


def _head(shell: _Shell, words: list[str]) -> Program:
    counts = {words[n][1]: int(words[n + 1]) for n in range(len(words) - 1) if words[n] in ("-c", "-n")}
    name = words[-1] if words and words[-1].startswith("/") else ""
    data = b"\0" * counts.get("c", 0) if name == "/dev/zero" else shell.container.files.get(name, (shell.input, 0))[0]
    lines = b"".join(data.splitlines(keepends=True)[: counts.get("n", 10)])
    yield Out(STDOUT, data[: counts["c"]] if "c" in counts else lines)
    return 0


def _tr(shell: _Shell, words: list[str]) -> Program:
    old, new = (_unescape(word) for word in words[-2:])
    yield Out(STDOUT, shell.input.translate(bytes.maketrans(old, new.ljust(len(old), new[-1:])[: len(old)])))
    return 0


def _cut(shell: _Shell, words: list[str]) -> Program:
    first, _, last = words[0].removeprefix("-c").partition("-")
    lines = shell.input.split(b"\n")
    yield Out(STDOUT, b"\n".join(line[int(first or 1) - 1 : int(last or len(line))] for line in lines))
    return 0


def _ls(shell: _Shell, words: list[str]) -> Program:
    code = 0
    for name in (word for word in words if not word.startswith("-")):
        data, mode = shell.container.files.get(name, (b"", None))
        if mode is None:
            yield Out(STDERR, f"ls: {name}: No such file or directory\n".encode())
            code = 1
            continue
        bits = "".join(letter if mode & (1 << 8 - place) else "-" for place, letter in enumerate("rwxrwxrwx"))
        yield Out(STDOUT, f"-{bits}    1 0        0        {len(data):9} {name}\n".encode())
    return code


def _test(shell: _Shell, words: list[str]) -> Program:
    yield 0
    match [word for word in words if word != "]"]:
        case [left, "=" | "==", right]:
            return int(left != right)
        case [left, "!=", right]:
            return int(left == right)
        case [left, ("-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge") as operator, right]:
            order = (int(left) > int(right)) - (int(left) < int(right))
            holds = {"-eq": order == 0, "-ne": order != 0, "-lt": order < 0, "-le": order <= 0, "-gt": order > 0}
            return int(not holds.get(operator, order >= 0))
        case ["-n", text] | [text]:
            return int(not text)
        case ["-z", text]:
            return int(bool(text))
        case ["-e" | "-f" | "-r", name]:
            return int(name not in shell.container.files)
        case _:
            return 2


def _hostname(shell: _Shell, words: list[str]) -> Program:
    yield Out(STDOUT, f"{shell.container.hostname}\n".encode())
    return 0


def _env(shell: _Shell, words: list[str]) -> Program:
    yield Out(STDOUT, "".join(f"{name}={value}\n" for name, value in shell.variables.items()).encode())
    return 0


_Command = Callable[[_Shell, list[str]], Program]
_COMMANDS: Final[dict[str, _Command]] = {
    ":": _constant(0), "true": _constant(0), "false": _constant(1), "trap": _constant(0), "set": _constant(0),
    "export": _constant(0), "wait": _constant(0), "echo": _echo, "printf": _printf, "sleep": _sleep, "exit": _exit,
    "exec": lambda shell, words: shell.command(words), "seq": _seq, "cat": _read_files, "head": _head, "tr": _tr,
    "cut": _cut, "ls": _ls, "test": _test, "[": _test, "hostname": _hostname, "env": _env,
}  # fmt: skip
