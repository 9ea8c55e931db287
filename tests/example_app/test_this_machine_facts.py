"""What the program collects of the computer, on each operating system and whatever its tools print."""

from __future__ import annotations

import platform
import plistlib
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from flask.testing import FlaskClient

from example_app import demo, this_machine_facts
from tests.support.example import register

ID = "0b6d2a4e8c1f4d5e9a7b3c2d1e0f9a8b"
CODE = "cd44661fa6f947726b130341c162919e"
FIRMWARE_UUID = "4C4C4544-0042-3510-8052-B4C04F4D3132"
PRINTED_UUID = f"{FIRMWARE_UUID}\r\n".encode()
GUID = "2b7e1516-28ae-d2a6-abf7-158809cf4f3c"
FIRMWARE = r"HARDWARE\DESCRIPTION\System\BIOS"
CRYPTOGRAPHY = r"SOFTWARE\Microsoft\Cryptography"
NONSENSE = [b"", b"\xff\xfe\x00\x80" * 10, b"x" * 1_000_000, b"\x00", b"\xf0\x9f", "\u202e\u2028\n".encode()]
FAILURES = [
    FileNotFoundError(2, "No such file"),
    subprocess.TimeoutExpired("a program", 30),
    subprocess.CalledProcessError(1, "a program"),
]


class Registry:
    """The part of `winreg` that reads, over recorded values."""

    HKEY_LOCAL_MACHINE = "HKLM"
    KEY_READ = 0x20019
    KEY_WOW64_64KEY = 0x0100

    def __init__(self, values: dict[tuple[str, str], object]) -> None:
        self.values = values
        self.key = ""

    def OpenKey(self, root: str, key: str, reserved: int, access: int) -> Registry:  # noqa: N802
        """Open a key, as a 64-bit program sees it."""
        assert (root, reserved, access) == ("HKLM", 0, 0x20119)
        self.key = key
        return self

    def QueryValueEx(self, key: Registry, name: str) -> tuple[object, int]:  # noqa: N802
        """Return a value and its type; raise what Windows raises if there is none."""
        if (key.key, name) not in self.values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return self.values[key.key, name], 1

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *error: object) -> None:
        self.key = ""


def pretend(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, **answers: object) -> None:
    """Replace what `platform` returns."""
    for name, value in {"system": system, "machine": machine, "processor": "a processor", **answers}.items():
        monkeypatch.setattr(this_machine_facts.platform, name, lambda value=value: value)
    monkeypatch.setattr(this_machine_facts.cpuinfo, "get_cpu_info", lambda: {"brand_raw": "A  CPU @ 3.00GHz"})


def pretend_linux(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str | bytes) -> None:
    """Pretend a Linux whose files have the given content; the others do not exist."""
    pretend(monkeypatch, "Linux", "x86_64", release="6.1.0", freedesktop_os_release={})
    monkeypatch.setattr(this_machine_facts, "MACHINE_IDS", [folder / "machine_id", folder / "dbus_id"])
    monkeypatch.setattr(this_machine_facts, "FIRMWARE", folder)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() + b"\n" if isinstance(content, str) else content)


def pretend_windows(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[tuple[str, str], object],
    printed: bytes | Exception = PRINTED_UUID,
) -> None:
    """Pretend a Windows 11 with the given values in its registry, and what its PowerShell prints."""
    pretend(monkeypatch, "Windows", "AMD64", release="11", version="10.0.22631")
    monkeypatch.setenv("SYSTEMROOT", r"D:\Windows")
    monkeypatch.setitem(sys.modules, "winreg", Registry(values))
    monkeypatch.setattr(this_machine_facts, "sys", SimpleNamespace(platform="win32"))
    powershell = r"D:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
    query = "(Get-CimInstance Win32_ComputerSystemProduct).UUID"
    pretend_program(monkeypatch, powershell, query, printed)


def pretend_macos(monkeypatch: pytest.MonkeyPatch, printed: bytes | Exception) -> None:
    """Pretend a macOS whose ioreg prints something, or cannot be run."""
    pretend(monkeypatch, "Darwin", "arm64", mac_ver=("14.5", ("", "", ""), "arm64"))
    pretend_program(monkeypatch, "/usr/sbin/ioreg", "IOPlatformExpertDevice", printed)


def pretend_program(
    monkeypatch: pytest.MonkeyPatch, path: str, last_argument: str, printed: bytes | Exception
) -> None:
    """Pretend the one program that is run, which prints something or cannot be run."""

    def run(command: tuple[str, ...], **options: object) -> SimpleNamespace:
        assert (command[0], command[-1]) == (path, last_argument)
        if isinstance(printed, Exception):
            raise printed
        return SimpleNamespace(stdout=printed)

    monkeypatch.setattr(this_machine_facts.subprocess, "run", run)


def assert_no_fact_has(system_id: str, facts: dict[str, str]) -> None:
    """Assert that the ID of which the machine code is made is not sent, in whatever notation."""
    digits = system_id.replace("-", "").lower()
    assert [name for name, value in facts.items() if digits in value.replace("-", "").lower()] == []


def raise_error() -> dict[str, str]:
    """Stand for a library that fails."""
    raise Exception("py-cpuinfo currently only works on X86 and some ARM CPUs.")


class TestFacts:
    """The ten facts."""

    @pytest.mark.skipif(sys.platform != "linux", reason="compares with the files of a Linux")
    def test_facts_of_this_computer_are_accepted(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """On this computer, the facts are those of its files, and the example accepts them."""
        # A container may have no ID.
        (tmp_path / "machine-id").write_text(ID)
        ids = [*this_machine_facts.MACHINE_IDS, tmp_path / "machine-id"]
        monkeypatch.setattr(this_machine_facts, "MACHINE_IDS", ids)
        facts = this_machine_facts.collect()
        assert ["user_AegisSpeed_id", *facts] == list(demo.REQUEST_EXAMPLE)
        assert register(client, "ASD000001", **facts).json["code"] == "10000"
        assert facts["machine_os_name"] in Path("/etc/os-release").read_text()
        assert facts["machine_os_version"] in Path("/proc/version").read_text()
        assert (facts["machine_platform"], facts["windows_product_id"]) == ("linux", "")
        assert facts["machine_architecture_type"] == platform.machine()
        cards = {path.read_text().strip().upper() for path in Path("/sys/class/net").glob("*/address")}
        assert facts["machine_mac_address"] in {*cards, ""}

    def test_linux_reads_the_files_of_the_firmware(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The files name the board, and the UUID if it may be read."""
        uuid = "4c4c4544-0042-3510-8052-b4c04f4d3132"
        board = {"board_vendor": "Dell Inc.", "board_name": "0VNP2H"}
        pretend_linux(monkeypatch, tmp_path, machine_id=ID, product_uuid=uuid, **board)
        facts = this_machine_facts.collect()
        assert facts["machine_code"] == CODE
        assert facts["windows_uuid"] == uuid
        assert facts["machine_motherboard"] == "Dell Inc. 0VNP2H"
        assert facts["machine_cpu"] == "A CPU @ 3.00GHz"
        assert (facts["machine_architecture"], facts["machine_architecture_type"]) == ("x64", "x86_64")

    def test_system_id_is_no_fact(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """In a virtual machine whose ID is the UUID of its firmware, the UUID is not sent."""
        uuid = f"{ID[:8]}-{ID[8:12]}-{ID[12:16]}-{ID[16:20]}-{ID[20:]}".upper()
        pretend_linux(monkeypatch, tmp_path, machine_id=ID, product_uuid=uuid)
        facts = this_machine_facts.collect()
        assert (facts["machine_code"], facts["windows_uuid"]) == (CODE, "")
        assert_no_fact_has(ID, facts)

    def test_missing_facts_are_empty(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """On a system that has only an ID, and whose libraries fail, every other fact is empty."""
        pretend_linux(monkeypatch, tmp_path, dbus_id=ID)
        pretend(monkeypatch, "Linux", "", processor="", release="")
        monkeypatch.setattr(
            this_machine_facts.platform, "freedesktop_os_release", lambda: (_ for _ in ()).throw(OSError)
        )
        monkeypatch.setattr(this_machine_facts.cpuinfo, "get_cpu_info", raise_error)
        monkeypatch.setattr(this_machine_facts.psutil, "net_if_addrs", raise_error)
        monkeypatch.setattr(this_machine_facts.psutil, "net_if_stats", raise_error)
        facts = this_machine_facts.collect()
        assert {name: value for name, value in facts.items() if value} == {
            "machine_code": CODE,
            "machine_os_name": "Linux",
            "machine_platform": sys.platform,
        }

    def test_windows_reads_registry_and_firmware(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On Windows the registry has the facts, and CIM the firmware's UUID; what is missing is empty."""
        pretend_windows(
            monkeypatch,
            {
                (CRYPTOGRAPHY, "MachineGuid"): GUID,
                (FIRMWARE, "BaseBoardManufacturer"): "ASUSTeK COMPUTER INC.",
                (FIRMWARE, "BaseBoardProduct"): "PRIME Z690-A\0",
            },
        )
        facts = this_machine_facts.collect()
        assert facts["machine_code"] == this_machine_facts._machine_code(GUID.upper())
        assert facts["windows_uuid"] == FIRMWARE_UUID
        assert_no_fact_has(GUID, facts)
        assert facts["windows_product_id"] == ""
        assert facts["machine_os_name"] == "Microsoft Windows 11"
        assert facts["machine_os_version"] == "10.0.22631"
        assert facts["machine_motherboard"] == "ASUSTeK COMPUTER INC. PRIME Z690-A"
        assert (facts["machine_architecture"], facts["machine_platform"]) == ("x64", "win32")

    def test_macos_reads_ioreg(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On macOS the property list of ioreg has the facts."""
        hardware = "A8C5F1D2-0000-5000-9000-123456789ABC"
        pretend_macos(monkeypatch, plistlib.dumps([{"IOPlatformUUID": hardware, "model": b"Mac14,2\0"}]))
        facts = this_machine_facts.collect()
        assert facts["windows_uuid"] == ""
        assert_no_fact_has(hardware, facts)
        assert (facts["machine_os_name"], facts["machine_os_version"]) == ("macOS", "14.5")
        assert facts["machine_motherboard"] == "Apple Mac14,2"
        assert (facts["machine_architecture"], facts["machine_architecture_type"]) == ("arm64", "arm64")

    @pytest.mark.parametrize(
        ("cards", "chosen"),
        [
            ({"lo": ("00:00:00:00:00:00", True)}, ""),
            ({"tun0": ("AA:BB", True), "eth0": ("", True), "odd0": ("zz:zz:zz:zz:zz:zz", True)}, ""),
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
    def test_mac_address_of_a_real_card_is_preferred(
        self, monkeypatch: pytest.MonkeyPatch, cards: dict[str, tuple[str, bool | None]], chosen: str
    ) -> None:
        """A card that is up comes first, and then an address of a maker before one of software."""
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

    def test_value_becomes_one_short_line(self) -> None:
        """A value has no control characters and no lone surrogates, and is at most 255 characters long."""
        assert this_machine_facts._one_line(" a \t b\0\x7f\ud800\n") == "a b"
        assert this_machine_facts._one_line("x" * 300) == "x" * 255


class TestNonsense:
    """Tools and files that hold anything but what they should."""

    @pytest.mark.parametrize("printed", NONSENSE)
    def test_files_may_hold_anything(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, printed: bytes
    ) -> None:
        """Whatever the files of the firmware hold, the facts are short and printable."""
        files = dict.fromkeys(["board_vendor", "board_name", "product_uuid"], printed)
        pretend_linux(monkeypatch, tmp_path, machine_id=ID, **files)
        for value in this_machine_facts.collect().values():
            assert value == "" or (value.isprintable() and len(value) <= 255)

    @pytest.mark.parametrize("content", [*NONSENSE, "uninitialized"])
    def test_file_without_an_id_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes
    ) -> None:
        """If the first file does not hold an ID, the second one is read."""
        pretend_linux(monkeypatch, tmp_path, machine_id=content, dbus_id=ID)
        assert this_machine_facts.collect()["machine_code"] == CODE

    def test_undecodable_os_release_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """If /etc/os-release is not UTF-8, the name of the kernel is the name of the system."""
        pretend_linux(monkeypatch, tmp_path, machine_id=ID)
        monkeypatch.setattr(
            this_machine_facts.platform, "freedesktop_os_release", lambda: {"PRETTY_NAME": b"\xff".decode()}
        )
        assert this_machine_facts.collect()["machine_os_name"] == "Linux"

    @pytest.mark.parametrize("value", ["\ud800", b"\xff", 7, None, ["a", "b"], "x" * 1_000_000])
    def test_registry_may_hold_anything(self, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
        """Whatever the registry holds, the facts are short and printable."""
        values = {(FIRMWARE, "BaseBoardProduct"): value, (CRYPTOGRAPHY, "MachineGuid"): GUID}
        pretend_windows(monkeypatch, values)
        board = this_machine_facts.collect()["machine_motherboard"]
        assert board == "" or (board.isprintable() and len(board) <= 255)

    @pytest.mark.parametrize("printed", [*NONSENSE, *FAILURES])
    def test_powershell_may_print_anything(
        self, monkeypatch: pytest.MonkeyPatch, printed: bytes | Exception
    ) -> None:
        """If PowerShell is missing, fails or prints nonsense, the UUID of the firmware is empty."""
        pretend_windows(monkeypatch, {(CRYPTOGRAPHY, "MachineGuid"): GUID}, printed)
        assert this_machine_facts.collect()["windows_uuid"] == ""

    @pytest.mark.parametrize(
        "printed",
        [
            *NONSENSE,
            *FAILURES,
            b"<?xml version='1.0'?><plist>",
            plistlib.dumps([]),
            plistlib.dumps(["text"]),
            plistlib.dumps([{"IOPlatformUUID": 7, "model": "text"}]),
        ],
    )
    def test_ioreg_may_print_anything(
        self, monkeypatch: pytest.MonkeyPatch, printed: bytes | Exception
    ) -> None:
        """If ioreg is missing, fails or prints nonsense, the system has no ID, and that is what is said."""
        pretend_macos(monkeypatch, printed)
        with pytest.raises(LookupError, match="no ID of its own"):
            this_machine_facts.collect()


class TestMachineCode:
    """The code that is made of the ID of the system."""

    @pytest.mark.parametrize("files", [{}, {"machine_id": ""}, {"machine_id": "uninitialized"}])
    def test_system_without_an_id_has_no_code(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str]
    ) -> None:
        """Without an ID no code is made up: it would differ each time, or be the same everywhere."""
        pretend_linux(monkeypatch, tmp_path, **files)
        with pytest.raises(LookupError, match="no ID of its own"):
            this_machine_facts.collect()

    @pytest.mark.parametrize(
        "shared",
        [
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009",
            "b76cc7b1bbdc489e93909d2043031de8",
            "9989a26f06984d6dbadc01770f018e3b",
        ],
    )
    def test_id_that_images_share_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared: str
    ) -> None:
        """A placeholder of firmware or of an image is refused, named, and followed by what to do."""
        pretend_linux(monkeypatch, tmp_path, machine_id=shared)
        with pytest.raises(LookupError, match=f"every copy of its image or firmware has: {shared}.*restart"):
            this_machine_facts.collect()
