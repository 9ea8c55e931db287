"""Tests that a store must pass: subclass a contract, supply its fixtures, and pytest runs the rest.

The documentation has a complete example. Have pytest explain failures in full with
``pytest.register_assert_rewrite("flask_aegis_machines.testing")`` in a ``conftest.py``.
"""

from __future__ import annotations

from ._machine_store import MachineStoreContract
from ._sample import make_machine
from ._user_store import UserStoreContract

__all__ = ["MachineStoreContract", "UserStoreContract", "make_machine"]
