"""A machine to test with."""

from __future__ import annotations

from flask_aegis_machines._records import Machine

__all__ = ["make_machine"]


def make_machine(machine_code: str = "abcd1234efgh5678ijkl9012mnop3456") -> Machine:
    """Make the machine of the API document, to test with.

    Args:
        machine_code: Its code, 32 characters.

    Returns:
        The machine, not bound to a user.
    """
    return Machine(
        machine_code=machine_code,
        windows_uuid="12345678-1234-1234-1234-123456789012",
        windows_product_id="12345-12345-12345-12345-12345",
        machine_os_name="Microsoft Windows 11",
        machine_os_version="10.0.22631",
        machine_architecture="x64",
        machine_architecture_type="AMD64",
        machine_platform="Win32",
        machine_cpu="12th Gen Intel(R) Core(TM) i7-12700K",
        machine_motherboard="ASUS PRIME Z690-A",
        machine_mac_address="00:11:22:33:44:55",
    )
