"""The public face as a whole."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import FunctionType, ModuleType
from typing import Any, get_origin

import pytest

import flask_aegis_machines

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(flask_aegis_machines.__path__, "flask_aegis_machines.")
]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in [flask_aegis_machines, *MODULES]
    for name in module.__all__
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_names_what_a_module_makes(module: ModuleType) -> None:
    """A module's ``__all__`` is sorted and names things that exist."""
    assert list(module.__all__) == sorted(module.__all__, key=lambda name: (not name.isupper(), name))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_front_door_has_the_public_names_and_nothing_else() -> None:
    """``__all__`` of the package equals what it exports, submodules aside."""
    submodules = {module.__name__.rpartition(".")[2] for module in MODULES}
    exported = {name for name in vars(flask_aegis_machines) if not name.startswith("_")} - submodules
    assert exported == set(flask_aegis_machines.__all__)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, public in PUBLIC.items()
        if isinstance(public, (type, FunctionType)) and get_origin(public) is None
    ],
)
def test_every_public_callable_is_documented(name: str) -> None:
    """Public classes and functions have a summary; functions document arguments and return values."""
    public = PUBLIC[name]
    documentation = inspect.getdoc(public) or ""
    assert documentation.partition("\n")[0].endswith("."), f"{name} has no summary"
    if inspect.isfunction(public):
        returns = documentation.startswith("Return ") or "Returns:" in documentation
        assert returns or inspect.signature(public).return_annotation == "None"
        assert "Args:" in documentation or not inspect.signature(public).parameters


def test_flask_and_cerberus_are_enough_to_import_the_package() -> None:
    """Hosts without SQLAlchemy, Flask-JWT-Extended or Flask-Login can import and mount the package."""
    program = """
import sys
for absent in ("sqlalchemy", "flask_sqlalchemy", "flask_jwt_extended", "jwt", "flask_login", "pytest"):
    sys.modules[absent] = None
from flask import Flask
from flask_aegis_machines import bearer, create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
stores = {"users": MemoryUserStore(), "machines": MemoryMachineStore()}
Flask("host").register_blueprint(create_blueprint(**stores, authenticate=bearer(lambda token: token)))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_leaves_no_class_out(module: Any) -> None:
    """Each public class that a module makes or gathers from its submodules is in ``__all__``."""
    classes = {
        name: value for name, value in vars(module).items() if inspect.isclass(value) and name[0] != "_"
    }
    made = {
        name for name, value in classes.items() if f"{value.__module__}.".startswith(f"{module.__name__}.")
    }
    assert made - set(module.__all__) == set()
