"""The machine code and the facts of this computer, on Windows, Linux and macOS."""

from __future__ import annotations

import hashlib
import os
import platform
import plistlib
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cpuinfo
import psutil

from flask_aegis_machines import AegisMachinesError, Machine, machine_from_document

# Hashed together with the ID of the system: no other program gets the same code, and no server gets the ID.
PURPOSE = "machine code of flask_aegis_machines"

MACHINE_IDS = [Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")]
FIRMWARE = Path("/sys/class/dmi/id")
LONGEST_FILE = 4096

ARCHITECTURES = {"amd64": "x64", "x86_64": "x64", "aarch64": "arm64"}

NO_ID = "This system has no ID of its own, so it has no machine code."
SHARED_ID = (
    "This system has an ID that every copy of its image or firmware has: {id}. Once bound, no other copy "
    "could be bound. Give the system an ID of its own first; on Linux, empty /etc/machine-id and restart."
)


class System(NamedTuple):
    """What each operating system keeps in another place. An empty string stands for what it does not have."""

    id: str = ""
    uuid: str = ""
    product_id: str = ""
    os_name: str = ""
    os_version: str = ""
    motherboard: str = ""


def collect() -> dict[str, str]:
    """Return `machine_code`, which is the same each time, and the ten facts.

    Returns:
        The fields of a registration. A fact that this computer does not have is an empty string.

    Raises:
        LookupError: The system has no ID, or one that it shares with other machines.
    """
    system = {"Windows": _windows, "Darwin": _macos}.get(platform.system(), _linux)()
    facts = {
        "machine_code": _machine_code(system.id),
        # Some virtual machines take their ID from the firmware.
        "windows_uuid": "" if _digits(system.uuid) == _digits(system.id) else system.uuid,
        "windows_product_id": system.product_id,
        "machine_os_name": system.os_name,
        "machine_os_version": system.os_version,
        "machine_architecture": ARCHITECTURES.get(platform.machine().lower(), platform.machine()),
        "machine_architecture_type": platform.machine(),
        "machine_platform": sys.platform,
        "machine_cpu": _cpu(),
        "machine_motherboard": system.motherboard,
        "machine_mac_address": _mac_address(),
    }
    return {name: _one_line(value) for name, value in facts.items()}


def _machine_code(system_id: str) -> str:
    """Hash the ID of a system. There is no substitute for it: containers and clones share MAC addresses."""
    if not _is_id(system_id):
        raise LookupError(NO_ID)
    if _is_shared(system_id):
        raise LookupError(SHARED_ID.format(id=system_id))
    return hashlib.sha256(f"{PURPOSE}\n{system_id.lower()}".encode()).hexdigest()[:32]


def _is_id(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", _digits(text)) is not None


def _is_shared(system_id: str) -> bool:
    """Return whether the library knows an ID as a placeholder, and so refuses it as a machine code.

    The server cannot see this any more, since it gets a hash of the ID.
    """
    facts = {field.name: "" for field in fields(Machine)}
    try:
        machine_from_document({**facts, "machine_code": _digits(system_id)})
    except AegisMachinesError:
        return True
    return False


def _digits(system_id: str) -> str:
    return system_id.lower().replace("-", "")


def _windows() -> System:
    current = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
    firmware = r"HARDWARE\DESCRIPTION\System\BIOS"
    board = [_registry(firmware, name) for name in ("BaseBoardManufacturer", "BaseBoardProduct")]
    return System(
        id=_registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid"),
        uuid=_firmware_uuid(),
        product_id=_registry(current, "ProductId"),
        os_name=f"Microsoft Windows {platform.release()}",  # the registry's ProductName says 10 on Windows 11
        os_version=platform.version(),
        motherboard=" ".join(board),
    )


def _registry(key: str, name: str) -> str:
    winreg: Any = import_module("winreg")  # an import statement has types on Windows only
    # Without KEY_WOW64_64KEY, a 32-bit Python reads the keys of 32-bit programs.
    access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
            return str(winreg.QueryValueEx(opened, name)[0])
    except OSError:
        return ""


def _firmware_uuid() -> str:
    """Return the UUID that the firmware reports to Windows, or nothing if PowerShell is missing or fails."""
    folder = os.environ.get("SYSTEMROOT", r"C:\Windows") + r"\System32\WindowsPowerShell\v1.0"
    query = "(Get-CimInstance Win32_ComputerSystemProduct).UUID"
    printed = _try(lambda: _run(rf"{folder}\powershell.exe", "-NoProfile", "-Command", query).decode("ascii"))
    uuid = str(printed).strip()
    return uuid if _is_id(uuid) else ""


def _linux() -> System:
    try:
        os_name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except (OSError, UnicodeDecodeError):
        os_name = platform.system()
    board = [_read(FIRMWARE / name) for name in ("board_vendor", "board_name")]
    return System(
        id=next(filter(_is_id, map(_read, MACHINE_IDS)), ""),
        uuid=_read(FIRMWARE / "product_uuid"),  # readable by root only
        os_name=os_name,
        os_version=platform.release(),
        motherboard=" ".join(board),
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _macos() -> System:
    device = _device()
    hardware_uuid = device.get("IOPlatformUUID")
    model = device.get("model")
    return System(
        id=hardware_uuid if isinstance(hardware_uuid, str) else "",
        os_name="macOS",
        os_version=platform.mac_ver()[0],
        motherboard="Apple " + model.decode("utf-8", "replace") if isinstance(model, bytes) else "",
    )


def _device() -> dict[str, object]:
    """Return what macOS says about the computer, or nothing if ioreg is missing, fails or prints nonsense."""
    try:
        (device,) = plistlib.loads(_run("/usr/sbin/ioreg", "-a", "-r", "-d1", "-c", "IOPlatformExpertDevice"))
    except Exception:  # plistlib raises what its parsers do
        return {}
    return device if isinstance(device, dict) else {}


def _run(*command: str) -> bytes:
    """Return what a program prints; raise if it is missing, fails or does not end."""
    return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout  # noqa: S603  # no shell


def _cpu() -> str:
    brand = _try(lambda: cpuinfo.get_cpu_info().get("brand_raw"))  # raises Exception for unknown processors
    return str(brand or platform.processor())


def _mac_address() -> str:
    """Return the address of a network card, preferably of one that is up and has its maker's address."""
    states = _try(psutil.net_if_stats) or {}
    found = []
    for card, addresses in (_try(psutil.net_if_addrs) or {}).items():
        for address in addresses:
            mac = address.address.replace("-", ":").upper()
            if re.fullmatch("([0-9A-F]{2}:){5}[0-9A-F]{2}", mac) and mac.strip("0:"):
                down = card not in states or not states[card].isup
                by_software = bool(int(mac[:2], 16) & 0b10)
                found.append((down, by_software, card, mac))
    return min(found)[-1] if found else ""


def _try(read: Callable[[], Any]) -> Any:
    """Return what a library reads from the system, or None if it fails: a fact may be missing."""
    try:
        return read()
    except Exception:
        return None


def _one_line(value: str) -> str:
    return "".join(letter for letter in " ".join(value.split()) if letter.isprintable())[:255]
