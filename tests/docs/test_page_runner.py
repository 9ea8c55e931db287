"""The runner of the documentation's pages: what it runs, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.page_runs import run_page
from tests.support.pages import require_installed

APP = """
```python
# app.py
from flask import Flask, request

app = Flask(__name__)


@app.post("/echo")
def echo():
    return {"sent": request.get_json(), "by": request.headers["X-Name"]}
```
"""
EXCHANGE = """
```http
POST /echo HTTP/1.1
Content-Type: application/json
X-Name: <name>

{"b": 1, "a": "at 127.0.0.1:5000"}
```

```http
HTTP/1.1 200 OK
Content-Type: application/...

{"by": "me", "sent": {"a": "...", "b": 1}}
```
"""
NAME = """
<!-- python
name = "me"
-->
"""


def write(folder: Path, *parts: str, name: str = "page.md") -> Path:
    """Write a page."""
    page = folder / name
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


@pytest.mark.parametrize(
    "start",
    [
        "```python\nfrom app import app\n```",
        "```console\n$ flask run\n$ flask --app app run\n```",
        "```console\ntrue\nflask run\n```",
    ],
    ids=["test client", "servers", "script"],
)
def test_a_request_gets_the_response_that_is_shown(tmp_path: Path, start: str) -> None:
    """A request goes to the app or to its server, and a variable of the page fills its placeholders."""
    done = run_page(write(tmp_path, APP, NAME, start, EXCHANGE), tmp_path)
    assert done.returncode == 0, done.stderr


def test_commands_share_one_shell(tmp_path: Path) -> None:
    """Commands keep the variables and the folder of those before them, over several lines too."""
    console = """
```console
$ export WHO=me; mkdir inner; cd inner
$ echo "$WHO" \\
  and you
me and you
$ cat <<'EOF'
a document
EOF
a document
$ python -m venv .venv
$ pip install "pytest>=1" Flask
$ basename "$PWD"
in...
```

```console
test "$WHO" = me
```
"""
    done = run_page(write(tmp_path, console), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_page_gets_copies(tmp_path: Path) -> None:
    """A file or a folder that the page includes from elsewhere is there for its commands."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").touch()
    copies = "<!-- copy elsewhere to folder -->\n<!-- copy elsewhere/a.txt to folder/b.txt -->"
    done = run_page(write(tmp_path, copies, "```console\n$ ls folder\na.txt\nb.txt\n```"), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_page_goes_on_from_another(tmp_path: Path) -> None:
    """The files of another page are there, and a block may add to one of them."""
    write(tmp_path, APP, "```python\nraise AssertionError\n```", name="first.md")
    added = '```python\n# app.py, at the end\nname = "added"\n```'
    used = '```python\nimport app\nassert app.name == "added"\n```'
    done = run_page(write(tmp_path, "<!-- files of first.md -->", added, used), tmp_path)
    assert done.returncode == 0, done.stderr


IMPORT = "```python\nfrom app import app\n```"


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("```python\nassert 1 > 2\n```", "page.md, line 1:"),
        ("```console\n$ false\n```", "with exit status 1"),
        ("```console\n$ echo one\ntwo\n```", "printed, with exit status 0:\none"),
        ("```console\n$ pip install no-such-package-anywhere\n```", "no-such-package-anywhere"),
        ("```console\n$ flask run\n```", "does not serve"),
        ("```console\n$ exit\n```", "ended the shell"),
        ("```http\nHTTP/1.1 200 OK\n```", "a response without a request"),
        (APP + NAME + IMPORT + EXCHANGE.replace('"me"', '"you"'), '{"by":"me"'),
        (APP + NAME + IMPORT + EXCHANGE.replace("1.1 200", "1.1 201"), "200"),
        (APP + NAME + IMPORT + EXCHANGE.replace("/...", "/x"), "Content-Type"),
    ],
)
def test_what_is_not_as_shown_fails(tmp_path: Path, block: str, reason: str) -> None:
    """A block that fails, or prints or answers something else, ends the run with its line."""
    done = run_page(write(tmp_path, block), tmp_path)
    assert done.returncode == 1
    assert reason in done.stderr


def test_only_names_of_packages_must_be_installed() -> None:
    """Options, folders and what follows the command are no packages."""
    require_installed('pip install -q ".[demo]" "Flask[async]>=2" && no-such-command')
