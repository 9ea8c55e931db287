"""What this computer is, in the fields of the API document, on Windows, Linux and macOS."""

from __future__ import annotations

import hashlib
import platform
import plistlib
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import cpuinfo
import psutil

# Hashed with the system's ID: another program that does alike gets another code, and nobody the ID itself.
PURPOSE = "machine code of flask_aegis_machines"

MACHINE_IDS = [Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")]
FIRMWARE = Path("/sys/class/dmi/id")

ARCHITECTURES = {"amd64": "x64", "x86_64": "x64", "aarch64": "arm64"}


class System(NamedTuple):
    """What each operating system has its own place for; an empty string where it does not tell."""

    id: str
    uuid: str
    product_id: str
    os_name: str
    os_version: str
    motherboard: str


def collect() -> dict[str, str]:
    """Collect what a registration asks of a machine.

    Returns:
        `machine_code`, which is the same each time, and the ten facts; "unknown" where this computer does not
        tell, "none" where it has no such thing.

    Raises:
        LookupError: The system has no ID of its own, of which a code could be made.
    """
    system = {"Windows": _windows, "Darwin": _macos}.get(platform.system(), _linux)()
    facts = {
        "machine_code": _machine_code(system.id),
        "windows_uuid": system.uuid,
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
    return {name: _one_line(value) or "unknown" for name, value in facts.items()}


def _machine_code(system_id: str) -> str:
    if not system_id:  # a MAC address would not do instead: containers and clones share theirs
        raise LookupError("This system has no ID of its own, so no machine code can be made for it.")
    return hashlib.sha256(f"{PURPOSE}\n{system_id.lower()}".encode()).hexdigest()[:32]


def _windows() -> System:
    current = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
    firmware = r"HARDWARE\DESCRIPTION\System\BIOS"
    guid = _registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")
    board = [_registry(firmware, name) for name in ("BaseBoardManufacturer", "BaseBoardProduct")]
    return System(
        id=guid,
        uuid=guid,
        product_id=_registry(current, "ProductId"),
        os_name=f"Microsoft Windows {platform.release()}",  # ProductName says 10 on Windows 11
        os_version=platform.version(),
        motherboard=" ".join(board),
    )


def _registry(key: str, name: str) -> str:
    winreg: Any = import_module("winreg")  # an import statement has types on Windows alone
    # Else a 32-bit Python looks where 32-bit programs keep their own.
    access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
            return str(winreg.QueryValueEx(opened, name)[0])
    except OSError:
        return ""


def _linux() -> System:
    try:
        os_name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        os_name = platform.system()
    ids = [_read(path) for path in MACHINE_IDS]
    board = [_read(FIRMWARE / name) for name in ("board_vendor", "board_name")]
    return System(
        id=next((found for found in ids if found not in {"", "uninitialized"}), ""),
        uuid=_read(FIRMWARE / "product_uuid"),  # for root alone
        product_id="none",
        os_name=os_name,
        os_version=platform.release(),
        motherboard=" ".join(board),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _macos() -> System:
    listed = subprocess.run(
        ["/usr/sbin/ioreg", "-a", "-r", "-d1", "-c", "IOPlatformExpertDevice"],
        capture_output=True,
        check=True,
        timeout=30,
    )
    (device,) = plistlib.loads(listed.stdout)
    return System(
        id=device.get("IOPlatformUUID", ""),
        uuid=device.get("IOPlatformUUID", ""),
        product_id="none",
        os_name="macOS",
        os_version=platform.mac_ver()[0],
        motherboard="Apple " + device.get("model", b"").rstrip(b"\0").decode(),
    )


def _cpu() -> str:
    try:
        brand = cpuinfo.get_cpu_info().get("brand_raw")
    except Exception:  # its own, of no better kind, for a processor that it does not know
        brand = None
    return str(brand or platform.processor())


def _mac_address() -> str:
    """Return a network card's address: of those that are up, and given by a maker rather than by software."""
    states = psutil.net_if_stats()
    found = []
    for card, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            mac = address.address.replace("-", ":").upper()
            if address.family == psutil.AF_LINK and len(mac) == 17 and mac.strip("0:"):
                down = card not in states or not states[card].isup
                by_software = bool(int(mac[:2], 16) & 0b10)
                found.append((down, by_software, card, mac))
    return min(found)[-1] if found else ""


def _one_line(value: str) -> str:
    return "".join(letter for letter in " ".join(value.split()) if letter.isprintable())[:255]
