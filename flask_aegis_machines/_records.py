"""The records that the blueprint and the stores exchange. No repr shows an identifier."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timezone

from ._errors import StoreFailure

__all__ = ["MACHINE_FIELDS", "Machine", "Owner", "User", "registration_time", "require_key"]


@dataclass(frozen=True, repr=False)
class User:
    """A user of the host, as far as binding a machine needs one.

    Args:
        key: What goes into the machine's ``user_id`` column: an integer, a string, a UUID.
        aegisspeed_id: The user's AegisSpeed ID, 9 characters.
        id_number: The user's ID number in clear; it leaves the process redacted only.
    """

    key: object
    aegisspeed_id: str
    id_number: str

    def __repr__(self) -> str:
        return "<User, values withheld>"


@dataclass(frozen=True, repr=False)
class Owner:
    """Who owns a machine code.

    Args:
        key: ``User.key`` of the owner; ``None`` where the user was deleted: the code stays bound.
    """

    key: object | None

    def is_user(self, user: User) -> bool:
        """Return whether this owner is a given user. Keys are compared as text: drivers change their types.

        Args:
            user: The user to compare with.

        Returns:
            Whether both have the same key.
        """
        return self.key is not None and str(self.key) == str(user.key)

    def __repr__(self) -> str:
        return "<Owner, values withheld>"


@dataclass(frozen=True, repr=False)
class Machine:
    """A machine: its code and the ten facts that the API document lists.

    Args:
        machine_code: 32 printable ASCII characters without spaces; compared exactly.
        windows_uuid: Windows system UUID.
        windows_product_id: Windows product ID.
        machine_os_name: Name of the operating system.
        machine_os_version: Version of the operating system.
        machine_architecture: Architecture, such as ``x64``.
        machine_architecture_type: Type of architecture, such as ``AMD64``.
        machine_platform: Platform, such as ``Win32``.
        machine_cpu: Model of the processor.
        machine_motherboard: Model of the motherboard.
        machine_mac_address: MAC address.
        registered_at: When the machine was bound, a datetime in UTC; ``None`` before.

    The ten facts are at most 255 characters each, without control characters, and may be empty. They are
    never unique and decide nothing.
    """

    machine_code: str
    windows_uuid: str
    windows_product_id: str
    machine_os_name: str
    machine_os_version: str
    machine_architecture: str
    machine_architecture_type: str
    machine_platform: str
    machine_cpu: str
    machine_motherboard: str
    machine_mac_address: str
    registered_at: datetime | None = None

    def __repr__(self) -> str:
        return "<Machine, values withheld>"


# A new fact also goes into _openapi_schemas.py (its meaning), stores/sqlalchemy/_mixins.py (its column, and
# so a migration of every host) and testing/_sample.py. Clients that do not send it get 10400.
#: The names of the fields that a client sends of a machine, in the order of the API document.
MACHINE_FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Machine) if f.name != "registered_at")


def require_key(key: object) -> None:
    """Require that a user has a key.

    Args:
        key: The key of the user.

    Raises:
        StoreFailure: It is NULL.
    """
    if key is None:
        raise StoreFailure(
            "the user has no key (NULL), so a machine could belong to nobody: give each user one"
        )


def registration_time(machine: Machine) -> datetime:
    """Return when a machine was registered, which is now unless it says otherwise.

    Args:
        machine: The machine.

    Returns:
        The time, with its time zone.

    Raises:
        StoreFailure: The machine's has no time zone.
    """
    registered_at = machine.registered_at or datetime.now(timezone.utc)
    if registered_at.tzinfo is None:
        raise StoreFailure("registered_at has no time zone: pass a datetime in UTC")
    return registered_at
