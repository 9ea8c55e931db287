"""Machine codes that identify no machine. Whoever sent one first would own it permanently.

Each entry has its source. Add one only where two machines were seen with it, or a published list has it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

__all__ = ["SHAPES", "is_placeholder"]

#: One character 32 times, and the form in which the vendor's client displays a secret: 4 characters, 24
#: asterisks, 4 characters. A regular expression for the whole code, in the dialect of JSON Schema too.
SHAPES = r"(.)\1{31}|.{4}\*{24}.{4}"

_FREEBSD = "FreeBSD, libexec/rc/rc.d/hostid"
_OSQUERY = "osquery, osquery/core/system.cpp, kPlaceholderHardwareUUIDList"
_GLPI = "GLPI, install/empty_data.php, glpi_blacklists; FusionInventory for GLPI"
_FOG = "FOG Project, HostManager::getHostByUuidAndSerial"

# What firmware reports where the maker of the board set no UUID.
_FIRMWARE_UUIDS: Mapping[str, str] = {
    "00000000-0000-0000-0000-000000000000": f"{_FREEBSD}; {_OSQUERY}; {_FOG}",
    "ffffffff-ffff-ffff-ffff-ffffffffffff": f"{_GLPI}; {_FOG}; oshi/oshi#2417",
    "03000200-0400-0500-0006-000700080009": f"{_FREEBSD}; {_OSQUERY}; {_GLPI}; oshi/oshi#2417",
    "00020003-0004-0005-0006-000700080009": f"{_FREEBSD}; {_FOG}",
    "02000100-0300-0400-0005-000600070008": "bytedance/Elkeid, agent; libvirt's migration errors on CL7100",
    "03020100-0504-0706-0809-0a0b0c0d0e0f": _OSQUERY,
    "10000000-0000-8000-0040-000000000000": _OSQUERY,
    "fefefefe-fefe-fefe-fefe-fefefefefefe": f"{_FREEBSD}; osquery/osquery#8887",
    "01010101-0101-0101-0101-010101010101": _GLPI,
    "6ab5b300-538d-1014-9fb5-b0684d007b53": _GLPI,
    "07090201-0103-0301-0807-060504030201": _FREEBSD,
    "11111111-1111-1111-1111-111111111111": _FREEBSD,
    "11111111-2222-3333-4444-555555555555": _FREEBSD,
    "4c4c4544-0000-2010-8020-80c04f202020": _FREEBSD,  # Dell without a service tag
    "58585858-5858-5858-5858-585858585858": _FREEBSD,  # XXXX…
    "890e2d14-cacd-45d1-ae66-bc80e8bfeb0f": _FREEBSD,
    "8e275844-178f-44a8-aceb-a7d7e5178c63": _FREEBSD,
    "dc698397-fa54-4cf2-82c8-b1b5307a6a7f": _FREEBSD,
    "12345678-1234-5678-90ab-cddeefaabbcc": _FOG,
    "ffffff00-ffff-ffff-ffff-ffffffffffff": _FOG,
    "8a95d198-7f46-11e5-bf8b-08002704d48e": "SolidRun/lx2160a_uefi#4",
}

# /etc/machine-id of published images, which all of their installations share.
_MACHINE_IDS: Mapping[str, str] = {
    "b76cc7b1bbdc489e93909d2043031de8": "Linux Mint 20: linuxmint/linuxmint#361",
    "e7d0df732b0649e49e97a4d764308014": "Linux Mint 21: linuxmint/linuxmint#126",
    "9989a26f06984d6dbadc01770f018e3b": "HypriotOS 1.0 to 1.6: hypriot/image-builder-rpi#143, #167",
    "1c4ad377574c4263adbb7c624b6a3429": "Ubuntu for Pi 4: TheRemote/Ubuntu-Server-raspi4-unofficial#74",
    "cdb7f92199c748a7a20d33ab52974cbb": "Debian 8.1 for OpenStack: hartwork/image-bootstrap#13",
    "ebb19c6b226f48fa86a541fd060e8762": "footloose Ubuntu 18.04: weaveworks/footloose#154",
    "88544b92092430bc5d3fbbffc12a2f04": "Debian 11.2 for Docker: debuerreotype/docker-debian-artifacts#151",
    "85f94e57ab75f80918cab17d001eac85": "Debian 11.1 for Docker: debuerreotype/docker-debian-artifacts#151",
    "b4047197195f4f359571cd0658157294": "Vagrant box bento/ubuntu-22.04: chef/bento#1421",
}

_GLPI_SERIAL = "GLPI, install/empty_data.php, invalid serials"

# What programs write for a missing value. A client that hashes with MD5 then sends the MD5 of such a text.
_TEXTS_FOR_NOTHING: Mapping[str, str] = {
    "": "the empty string",
    " ": "names of boards in linuxhw/DMI",
    "\n": "`echo | md5sum`",
    "\r\n": "the same on Windows",
    "d41d8cd98f00b204e9800998ecf8427e": "MD5 of nothing, hashed twice",
    "None": "Python's str(None)",
    "none": _GLPI_SERIAL,
    "null": "JSON, JavaScript",
    "NULL": "SQL, C",
    "nil": "Ruby, Go, Lua",
    "undefined": "JavaScript",
    "NaN": "JavaScript, pandas",
    "0": _GLPI_SERIAL,
    "{}": "an empty JSON object",
    "[]": "an empty JSON array",
    "N/A": _GLPI_SERIAL,
    "unknown": "bytedance/Elkeid, agent",
    "Unknown": "the same",
    "empty": _GLPI_SERIAL,
    "Not Specified": f"dmidecode; {_GLPI_SERIAL}",
    "Not Present": f"dmidecode; {_FOG}",
    "Not Settable": f"dmidecode; {_FOG}",
    "Not Applicable": _FOG,
    "Default string": _FOG,
    "To be filled by O.E.M.": _FOG,
    "To Be Filled By O.E.M.": _GLPI_SERIAL,
    "System Serial Number": _GLPI_SERIAL,
    "System Product Name": "GLPI, install/empty_data.php, invalid models",
    "Base Board Serial Number": _FOG,
    "00:00:00:00:00:00": "GLPI, install/empty_data.php, invalid MAC addresses",
    "00-00-00-00-00-00": "the same, as Windows writes it",
    "02:00:00:00:00:00": "Android 6 and later, WifiInfo.getMacAddress()",
}


def _codes() -> Iterator[str]:
    """Yield every placeholder in lower case."""
    for uuid in _FIRMWARE_UUIDS:
        yield uuid.replace("-", "")
    yield from _MACHINE_IDS
    # Windows reports UUIDs in upper case, Linux in lower case.
    texts = [*_TEXTS_FOR_NOTHING, *_FIRMWARE_UUIDS, *map(str.upper, _FIRMWARE_UUIDS), *_MACHINE_IDS]
    for text in texts:
        yield hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


_CODES = frozenset(_codes())
_SHAPES = re.compile(SHAPES)


def is_placeholder(machine_code: str) -> bool:
    """Return whether a code identifies no machine. Case is ignored.

    Args:
        machine_code: 32 printable ASCII characters without spaces.

    Returns:
        Whether the code is a known placeholder.
    """
    return machine_code.lower() in _CODES or _SHAPES.fullmatch(machine_code) is not None
