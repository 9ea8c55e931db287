"""Runs the blocks of a documentation page in their order, in the current folder, as a reader would.

    python tests/support/pages.py docs/quickstart.md

What a page may hold:

- ``python``: a block whose first line is ``# name.py`` becomes that file; with ``# name.py, at the end`` it
  is added to the file. Every other block runs, and shares its names with those before it.
- ``console``: lines that begin with ``$`` are commands for one shell, the others what the command prints,
  where ``...`` stands for any text. A block without ``$`` is a script. Every command must succeed. A server
  that is started keeps running until the next one is started.
- ``http``: a request goes to the running server or, where there is none, to the Flask app named ``app``. The
  response that follows must be equal, with ``...`` as above. ``<name>`` in a request is the variable of that
  name.
- ``<!-- python … -->`` runs without being shown. ``<!-- files of page.md -->`` writes the files of another
  page first, and ``<!-- copy source to target -->`` copies a file or a folder, named from the page.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

_BLOCK = re.compile(
    r"^```(?P<kind>python|console|http)\n(?P<text>.*?)^```$"
    r"|^<!-- python\n(?P<hidden>.*?)^-->$"
    r"|^<!-- files of (?P<page>\S+) -->$"
    r"|^<!-- copy (?P<copy>\S+ to \S+) -->$",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(r"# (\S+\.(?:py|ini|mako))(, at the end)?$")
_SERVER = re.compile(r"flask (--app \S+ )?run\b|gunicorn ")
_ENVIRONMENT = re.compile(r"python3? -m venv |\. \S+/activate$|pip install ")
_ADDRESS = re.compile(r"127\.0\.0\.1:(5000|8000)")
_END = "end of the command"


class Block(NamedTuple):
    """A block of a page."""

    kind: str
    text: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, those of the pages that it builds on included."""
    source = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    for match in _BLOCK.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        if match["page"]:
            others = blocks_of(page.parent / match["page"])
            blocks += [block for block in others if block.kind == "python" and file_of(block)]
        else:
            kind = match["kind"] or ("copy" if match["copy"] else "python")
            blocks.append(Block(kind, match["text"] or match["hidden"] or match["copy"], line))
    return blocks


def file_of(block: Block) -> re.Match[str] | None:
    """Return the match of a first line that names a file."""
    return _FILE.match(block.text.partition("\n")[0])


class Page:
    """A page that is run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[str, Any] = {"__name__": "__page__"}
        self._request: str | None = None
        self._server: int | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        os.environ.update(
            FLASK_RUN_PORT=str(self._port), PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        )
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> None:
        """Run every block; the first that fails ends the run."""
        try:
            for block in blocks_of(self._path):
                try:
                    getattr(self, f"_run_{block.kind}")(self._at_free_port(block.text), block)
                except BaseException as error:
                    error.args = (f"{self._path}, line {block.line}: {error}",)
                    raise
        finally:
            stop_server = self._stop_server if self._shell.poll() is None else bool
            stop_server()
            self._shell.kill()
            self._shell.wait(10)
            for pipe in (self._shell.stdin, self._shell.stdout):
                with suppress(OSError):  # a command that the shell did not read is still in the pipe
                    pipe.close()

    def _run_python(self, text: str, block: Block) -> None:
        if (named := file_of(block)) is None:
            code = compile("\n" * block.line + text, self._path, "exec", dont_inherit=True)
            exec(code, self._names)
            return
        file = Path(named[1])
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if named[2] else "w", encoding="utf-8") as target:
            target.write(("\n\n" if named[2] else "") + text.partition("\n")[2].lstrip("\n"))

    def _run_copy(self, text: str, block: Block) -> None:
        source, _, target = text.partition(" to ")
        path = self._path.parent / source
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, target)

    def _run_console(self, text: str, block: Block) -> None:
        for command, wanted in commands_of(text):
            if _ENVIRONMENT.match(command):
                require_installed(command)
            elif _SERVER.match(command):
                self._start_server(command)
            else:
                status, printed = self._execute(command)
                printed = printed.replace(str(self._port), "5000")
                if status or (wanted and not is_as_shown(wanted, printed)):
                    raise AssertionError(f"{command}\nprinted, with exit status {status}:\n{printed}")

    def _execute(self, command: str) -> tuple[int, str]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{\n{command}\n}} < /dev/null\nprintf '\\n{_END} %s\\n' $?\n")
        self._shell.stdin.flush()
        printed = ""
        for line in self._shell.stdout:
            if line.startswith(_END):
                return int(line.removeprefix(_END)), printed.removesuffix("\n")
            printed += line
        raise AssertionError(f"{command}\nended the shell, after:\n{printed}")

    def _start_server(self, command: str) -> None:
        self._stop_server()
        log = Path("server.log").absolute()
        _, printed = self._execute(f"(exec {command}) > {log} 2>&1 & echo $!")
        self._server = int(printed)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._execute("jobs -r")[1]:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{command}\ndoes not serve:\n{log.read_text()}")

    def _stop_server(self) -> None:
        if self._server is not None:
            self._execute(f"kill {self._server}; wait {self._server}")
            self._server = None

    def _run_http(self, text: str, block: Block) -> None:
        if not text.startswith("HTTP/"):
            self._request = text
            return
        assert self._request is not None, "a response without a request"
        wanted_status, wanted_headers, wanted_body = parse(text)
        status, headers, body = self._send(self._request)
        got = f"{status}\n{headers}\n{body}"
        assert wanted_status.split()[1] == status, got
        for name, value in wanted_headers.items():
            assert is_as_shown(value, headers.get(name, "")), f"{name}\n{got}"
        assert is_as_shown(in_one_order(wanted_body), in_one_order(body)), got

    def _send(self, request: str) -> tuple[str, dict[str, str], str]:
        names = re.compile(r"<(\w+)>")
        line, headers, body = parse(names.sub(lambda match: str(self._names[match[1]]), request))
        method, path, _ = line.split()
        if self._server is None:
            answer = self._names["app"].test_client().open(path, method=method, headers=headers, data=body)
            return str(answer.status_code), dict(answer.headers), answer.get_data(as_text=True)
        curl = [
            "curl",
            "-sS",
            "-i",
            "--max-time",
            "60",
            "-X",
            method,
            f"http://127.0.0.1:{self._port}{path}",
            "--data-binary",
            body,
        ]
        curl += [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
        printed = subprocess.run(curl, check=True, capture_output=True, text=True).stdout
        first, received, text = parse(printed)
        return first.split()[1], received, text

    def _at_free_port(self, text: str) -> str:
        return _ADDRESS.sub(f"127.0.0.1:{self._port}", text)


def commands_of(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the text that it prints."""
    if not text.startswith("$ "):
        script, _, last = text.rstrip("\n").rpartition("\n")
        return [(script, ""), (last, "")] if _SERVER.match(last) else [(text, "")]
    commands: list[list[str]] = []
    here_document = ""
    for line in text.splitlines():
        if here_document or (commands and not commands[-1][1] and commands[-1][0].endswith("\\")):
            commands[-1][0] += f"\n{line}"
            here_document = "" if line == here_document else here_document
        elif line.startswith("$ "):
            commands.append([line.removeprefix("$ "), ""])
            here = re.search(r"<<'?(\w+)'?$", line)
            here_document = here[1] if here else ""
        else:
            commands[-1][1] += f"{line}\n"
    return [(command, wanted) for command, wanted in commands]


def require_installed(command: str) -> None:
    """Require that the environment has what a command would install: nothing is downloaded."""
    for word in re.findall(r'"[^"]+"|\S+', command.partition("pip install ")[2].partition("&&")[0]):
        if re.match(r'"?[A-Za-z]', word):
            version(re.split(r"[\[<>=~!]", word.strip('"'))[0])


def is_as_shown(wanted: str, printed: str) -> bool:
    """Return whether a text is the one that a page shows."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, printed, options)


def parse(message: str) -> tuple[str, dict[str, str], str]:
    """Return the first line, the headers and the body of an HTTP message."""
    head, _, body = message.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    return first, dict(line.split(": ", 1) for line in lines), body


def in_one_order(body: str) -> str:
    """Return a JSON body with its keys in one order."""
    return json.dumps(json.loads(body), indent=1, sort_keys=True) if body.strip() else ""


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    Page(Path(sys.argv[1]).resolve()).run()
