"""The program that binds the computer it runs on: what it collects, and what it says of each answer."""

from __future__ import annotations

import platform
import plistlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from flask import Flask, jsonify, request

from example_app import create_app, this_machine, this_machine_facts
from example_app.models import Machine, User, db
from flask_aegis_machines._answers import ANSWERS
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines._validation import REGISTRATION

from .serving import served

ID = "0b6d2a4e8c1f4d5e9a7b3c2d1e0f9a8b"
CODE = "cd44661fa6f947726b130341c162919e"
Run = Callable[..., Result]


class Registry:
    """The part of `winreg` that reads, over recorded values."""

    HKEY_LOCAL_MACHINE = "HKLM"
    KEY_READ = 0x20019
    KEY_WOW64_64KEY = 0x0100

    def __init__(self, values: dict[tuple[str, str], str]) -> None:
        self.values = values
        self.key = ""

    def OpenKey(self, root: str, key: str, reserved: int, access: int) -> Registry:  # noqa: N802
        """Open a key, as a 64-bit program sees it."""
        assert (root, reserved, access) == ("HKLM", 0, 0x20119)
        self.key = key
        return self

    def QueryValueEx(self, key: Registry, name: str) -> tuple[str, int]:  # noqa: N802
        """Return a value and its type; fail as Windows does where there is none."""
        if (key.key, name) not in self.values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return self.values[key.key, name], 1

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *error: object) -> None:
        self.key = ""


def pretend(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, **platform_says: object) -> None:
    """Make the module believe that it runs on another computer."""
    says = {"system": system, "machine": machine, "processor": "a processor", **platform_says}
    for name, value in says.items():
        monkeypatch.setattr(this_machine_facts.platform, name, lambda value=value: value)
    monkeypatch.setattr(this_machine_facts.cpuinfo, "get_cpu_info", lambda: {"brand_raw": "A  CPU @ 3.00GHz"})


def pretend_linux(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    """Make the module believe in a Linux whose files hold what is given; the others do not exist."""
    pretend(monkeypatch, "Linux", "x86_64", release="6.1.0", freedesktop_os_release={})
    monkeypatch.setattr(this_machine_facts, "MACHINE_IDS", [folder / "machine_id", folder / "dbus_id"])
    monkeypatch.setattr(this_machine_facts, "FIRMWARE", folder)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


class TestCollect:
    """What the computer is."""

    @pytest.mark.skipif(sys.platform != "linux", reason="compares with the files of a Linux")
    def test_this_computer(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """On this very computer, the facts are those that it tells elsewhere, and a server takes them."""
        # A container may have no ID.
        (tmp_path / "machine-id").write_text(ID)
        ids = [*this_machine_facts.MACHINE_IDS, tmp_path / "machine-id"]
        monkeypatch.setattr(this_machine_facts, "MACHINE_IDS", ids)
        facts = this_machine_facts.collect()
        assert tuple(facts) == MACHINE_FIELDS
        REGISTRATION.validate({"user_AegisSpeed_id": "ASD000001", **facts})
        assert facts["machine_os_name"] in Path("/etc/os-release").read_text()
        assert facts["machine_os_version"] in Path("/proc/version").read_text()
        assert (facts["machine_platform"], facts["windows_product_id"]) == ("linux", "none")
        assert facts["machine_architecture_type"] == platform.machine()
        cards = {path.read_text().strip().upper() for path in Path("/sys/class/net").glob("*/address")}
        assert facts["machine_mac_address"] in {*cards, "unknown"}

    def test_linux(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The firmware's files name the board, and the UUID where they may be read."""
        uuid = "4c4c4544-0042-3510-8052-b4c04f4d3132"
        board = {"board_vendor": "Dell Inc.", "board_name": "0VNP2H"}
        pretend_linux(monkeypatch, tmp_path, machine_id=ID, product_uuid=uuid, **board)
        facts = this_machine_facts.collect()
        assert facts["machine_code"] == CODE
        assert facts["windows_uuid"] == uuid
        assert facts["machine_motherboard"] == "Dell Inc. 0VNP2H"
        assert facts["machine_cpu"] == "A CPU @ 3.00GHz"
        assert (facts["machine_architecture"], facts["machine_architecture_type"]) == ("x64", "x86_64")

    def test_what_cannot_be_known(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A system that tells nothing but its ID still gives something for each field, and that is honest."""

        def unreadable() -> dict[str, str]:
            raise OSError

        def unknown() -> dict[str, str]:
            raise Exception("py-cpuinfo currently only works on X86 and some ARM CPUs.")

        pretend_linux(monkeypatch, tmp_path, dbus_id=ID)
        pretend(monkeypatch, "Linux", "", processor="", release="")
        monkeypatch.setattr(this_machine_facts.platform, "freedesktop_os_release", unreadable)
        monkeypatch.setattr(this_machine_facts.cpuinfo, "get_cpu_info", unknown)
        monkeypatch.setattr(this_machine_facts.psutil, "net_if_addrs", dict)
        facts = this_machine_facts.collect()
        told = {name: value for name, value in facts.items() if value != "unknown"}
        assert told == {
            "machine_code": CODE,
            "windows_product_id": "none",
            "machine_os_name": "Linux",
            "machine_platform": sys.platform,
        }

    @pytest.mark.parametrize("files", [{}, {"machine_id": ""}, {"machine_id": "uninitialized"}])
    def test_no_id(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str]) -> None:
        """Where the system has no ID no code is made up: it would be another each time, or everybody's."""
        pretend_linux(monkeypatch, tmp_path, **files)
        with pytest.raises(LookupError, match="no ID of its own"):
            this_machine_facts.collect()

    def test_windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On Windows the registry tells; what it lacks is unknown."""
        firmware = r"HARDWARE\DESCRIPTION\System\BIOS"
        guid = "2b7e1516-28ae-d2a6-abf7-158809cf4f3c"
        values = {
            (r"SOFTWARE\Microsoft\Cryptography", "MachineGuid"): guid,
            (firmware, "BaseBoardManufacturer"): "ASUSTeK COMPUTER INC.",
            (firmware, "BaseBoardProduct"): "PRIME Z690-A\0",
        }
        pretend(monkeypatch, "Windows", "AMD64", release="11", version="10.0.22631")
        monkeypatch.setitem(sys.modules, "winreg", Registry(values))
        monkeypatch.setattr(this_machine_facts, "sys", SimpleNamespace(platform="win32"))
        facts = this_machine_facts.collect()
        assert facts["machine_code"] == this_machine_facts._machine_code(guid.upper())
        assert facts["windows_uuid"] == guid
        assert facts["windows_product_id"] == "unknown"
        assert facts["machine_os_name"] == "Microsoft Windows 11"
        assert facts["machine_os_version"] == "10.0.22631"
        assert facts["machine_motherboard"] == "ASUSTeK COMPUTER INC. PRIME Z690-A"
        assert (facts["machine_architecture"], facts["machine_platform"]) == ("x64", "win32")

    def test_macos(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On macOS the registry of devices tells, as a property list."""
        device = {"IOPlatformUUID": "A8C5F1D2-0000-5000-9000-123456789ABC", "model": b"Mac14,2\0"}

        def ioreg(command: list[str], **options: object) -> SimpleNamespace:
            assert (command[0], command[-1]) == ("/usr/sbin/ioreg", "IOPlatformExpertDevice")
            return SimpleNamespace(stdout=plistlib.dumps([device]))

        pretend(monkeypatch, "Darwin", "arm64", mac_ver=("14.5", ("", "", ""), "arm64"))
        monkeypatch.setattr(this_machine_facts.subprocess, "run", ioreg)
        facts = this_machine_facts.collect()
        assert facts["windows_uuid"] == device["IOPlatformUUID"]
        assert (facts["machine_os_name"], facts["machine_os_version"]) == ("macOS", "14.5")
        assert facts["machine_motherboard"] == "Apple Mac14,2"
        assert (facts["machine_architecture"], facts["machine_architecture_type"]) == ("arm64", "arm64")

    @pytest.mark.parametrize(
        ("cards", "chosen"),
        [
            ({"lo": ("00:00:00:00:00:00", True)}, ""),
            ({"tun0": ("AA:BB", True), "eth0": ("", True)}, ""),
            (
                {"docker0": ("02:42:ac:11:00:02", True), "wlan0": ("9c:b6:d0:01:02:03", True)},
                "9C:B6:D0:01:02:03",
            ),
            (
                {"eth0": ("9c:b6:d0:01:02:03", False), "eth1": ("9c:b6:d0:0a:0b:0c", True)},
                "9C:B6:D0:0A:0B:0C",
            ),
            ({"eth0": ("02:42:ac:11:00:02", True)}, "02:42:AC:11:00:02"),
            ({"Ethernet": ("9C-B6-D0-01-02-03", None)}, "9C:B6:D0:01:02:03"),
        ],
    )
    def test_mac_address(
        self, monkeypatch: pytest.MonkeyPatch, cards: dict[str, tuple[str, bool | None]], chosen: str
    ) -> None:
        """A card that is up comes first, and a maker's address before one of software."""
        addresses = {
            name: [
                SimpleNamespace(family=socket.AF_INET, address="192.0.2.1"),
                SimpleNamespace(family=psutil.AF_LINK, address=mac),
            ]
            for name, (mac, _) in cards.items()
        }
        states = {name: SimpleNamespace(isup=up) for name, (_, up) in cards.items() if up is not None}
        monkeypatch.setattr(this_machine_facts.psutil, "net_if_addrs", lambda: addresses)
        monkeypatch.setattr(this_machine_facts.psutil, "net_if_stats", lambda: states)
        assert this_machine_facts._mac_address() == chosen

    def test_one_line(self) -> None:
        """A value becomes one that a server takes: without control characters, and not too long."""
        assert this_machine_facts._one_line(" a \t b\0\x7f\n") == "a b"
        assert this_machine_facts._one_line("x" * 300) == "x" * 255


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program on a computer that is known already."""
    facts = dict.fromkeys(MACHINE_FIELDS, "a fact") | {"machine_code": CODE}
    monkeypatch.setattr(this_machine, "collect", lambda: dict(facts))

    def run(url: str, *options: str, **how: Any) -> Result:
        return CliRunner().invoke(this_machine.main, ["--url", url, *options], **how)

    return run


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Flask]:
    """The example app, fresh."""
    app = create_app(instance_path=str(tmp_path / "instance"))
    yield app
    with app.app_context():
        db.engine.dispose()


class TestAgainstTheExample:
    """The program and the example app, over HTTP."""

    def test_binds_once(self, run: Run, example: Flask) -> None:
        """The first run binds; the owner's next one says so, and another user's that they were not first."""
        with served(example) as url:
            first = run(url, input="demo\n")
            second = run(url, "--password", "demo")
            other = run(url, "--user", "ASD000002", "--password", "demo")
        assert f"machine_code               {CODE}\n" in first.output
        assert (
            "200 10000 Machine registered successfully\nThis machine is bound to your account now"
            in first.output
        )
        assert (first.exit_code, first.output.count("demo")) == (0, 0)
        assert "409 10004 Machine code already registered\n" in second.output
        assert (second.exit_code, "It is yours" in second.output) == (0, True)
        assert "409 10004 Machine code already registered\n" in other.output
        assert (other.exit_code, "does not list it among yours" in other.output) == (1, True)
        with example.app_context():
            owners = db.session.execute(
                db.select(User.aegisspeed_id, Machine.machine_code, Machine.machine_cpu).join(
                    Machine, Machine.user_id == User.id
                )
            )
            assert owners.all() == [("ASD000001", CODE, "a fact")]

    def test_wrong_password(self, run: Run, example: Flask) -> None:
        """What the host says of a wrong password is passed on, and nothing is bound."""
        with served(example) as url:
            result = run(url, "--password", "wrong")
        assert (result.exit_code, "Error: Wrong AegisSpeed ID or password." in result.output) == (1, True)

    def test_where_it_is_looked_for(self, run: Run, example: Flask) -> None:
        """The list is read to its end, page by page."""
        with served(example) as url:
            token = this_machine._sign_in(url, "ASD000001", "demo")
            facts = dict.fromkeys(MACHINE_FIELDS, "a fact")
            for number in range(102):
                body = {**facts, "user_AegisSpeed_id": "ASD000001", "machine_code": f"{number:032}"}
                this_machine._post(url, this_machine.REGISTER, body, token)
            assert this_machine._is_listed(url, "ASD000001", token, f"{101:032}")
            assert not this_machine._is_listed(url, "ASD000001", token, f"{102:032}")


class TestAnswers:
    """What the program says, of answers that the example does not give at will."""

    @staticmethod
    def host(status: int, body: object) -> Flask:
        """Make a host that signs everybody in, and answers each registration alike."""
        app = Flask("host")
        app.add_url_rule("/login", "login", lambda: jsonify(access_token="t"), methods=["POST"])
        app.add_url_rule(
            this_machine.REGISTER,
            "register",
            lambda: (jsonify(body) if body is not None else "oops", status),
            methods=["POST"],
        )
        return app

    def test_every_code_has_a_meaning(self) -> None:
        """There is a sentence for each code that the endpoints can answer."""
        assert this_machine.MEANINGS.keys() == {answer.code for answer in ANSWERS}

    @pytest.mark.parametrize("answer", [answer for answer in ANSWERS if answer.status not in {200, 409}])
    def test_refusals(self, run: Run, answer: Any) -> None:
        """A refusal is shown with its meaning, and the program fails."""
        envelope = {"status": answer.status, "code": answer.code, "result": answer.result, "data": {}}
        with served(self.host(answer.status, envelope)) as url:
            result = run(url, "--password", "demo")
        assert f"{answer.status} {answer.code} {answer.result}\n" in result.output
        assert this_machine.MEANINGS[answer.code] in result.output
        assert result.exit_code == 1

    def test_fields(self, run: Run) -> None:
        """Each field that the server refuses is named, with the reason."""
        data = {"errors": {"machine_cpu": ["is too long", "is odd"]}}
        envelope = {"status": 400, "code": "10400", "result": "Invalid request", "data": data}
        with served(self.host(400, envelope)) as url:
            assert "- machine_cpu: is too long; is odd\n" in run(url, "--password", "demo").output

    def test_unknown_code(self, run: Run) -> None:
        """A code of a newer server is shown, and is no success."""
        with served(self.host(200, {"status": 200, "code": "10999", "result": "New", "data": {}})) as url:
            result = run(url, "--password", "demo")
        assert "200 10999 New\nThis program does not know that code.\n" in result.output
        assert result.exit_code == 1

    def test_no_list(self, run: Run) -> None:
        """Where the server shows no list, the program does not say that the machine is the user's."""
        app = self.host(409, {"status": 409, "code": "10004", "result": "Taken", "data": {}})
        closed = {"status": 403, "code": "10001", "result": "Closed", "data": {}}
        app.add_url_rule(this_machine.GET, "get", lambda: (jsonify(closed), 403), methods=["POST"])
        with served(app) as url:
            result = run(url, "--password", "demo")
        assert (result.exit_code, "does not list it among yours" in result.output) == (1, True)

    @pytest.mark.parametrize("body", [None, ["a list"]])
    def test_lost_answer(self, run: Run, body: object) -> None:
        """Where the registration gets no answer of ours, its outcome is said to be unknown."""
        with served(self.host(502, body)) as url:
            result = run(url, "--password", "demo")
        assert result.exit_code == 1
        assert "it does not speak JSON. The machine may be bound or not. Run this again" in result.output

    def test_folder_and_token(self, run: Run) -> None:
        """A host below a folder is reached, and is sent the token that it gave, but for the sign-in."""
        sent: list[tuple[str, str | None]] = []
        app = Flask("host")

        @app.post("/<path:path>")
        def answer(path: str) -> Any:
            sent.append((path, request.headers.get("Authorization")))
            return jsonify(access_token="t", code="10000")

        with served(app) as url:
            assert run(f"{url}folder/", "--password", "demo").exit_code == 0
        assert sent == [("folder/login", None), (f"folder{this_machine.REGISTER}", "Bearer t")]

    def test_sign_in_without_reason(self, run: Run) -> None:
        """A host that does not sign in, and does not say why, is not asked for more."""
        app = Flask("host")
        app.add_url_rule("/login", "login", lambda: (jsonify(detail="no"), 403), methods=["POST"])
        with served(app) as url:
            result = run(url, "--password", "demo")
        assert (result.exit_code, "Error: The server does not sign you in.\n" in result.output) == (1, True)

    def test_cannot_be_reached(self, run: Run) -> None:
        """Where nobody listens, the program says so, and where it looked."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = run(url, "--password", "demo")
        assert result.exit_code == 1
        assert f"Error: The server at {url} cannot be reached (" in result.output

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:5000", "localhost:5000", "file:///etc/passwd", "http://[", ""]
    )
    def test_no_address(self, run: Run, url: str) -> None:
        """What is no address of a server is not tried."""
        result = run(url, "--password", "demo")
        assert (result.exit_code, "give one like http://127.0.0.1:5000" in result.output) == (1, True)


def test_no_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without an ID of its own is told so, before anybody is asked for a password."""

    def collect() -> dict[str, str]:
        raise LookupError("This system has no ID.")

    monkeypatch.setattr(this_machine, "collect", collect)
    result = CliRunner().invoke(this_machine.main)
    assert (result.exit_code, result.output) == (1, "Error: This system has no ID.\n")


def test_runs_as_a_module() -> None:
    """`python -m example_app.this_machine` is the program, and says what it does."""
    command = [sys.executable, "-m", "example_app.this_machine", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert "Show what this computer is, and bind it" in done.stdout
