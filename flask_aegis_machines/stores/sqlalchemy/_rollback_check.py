"""Refuses connections and tables on which a ROLLBACK undoes nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from flask_aegis_machines._errors import ConfigurationError

from ._catalog import LiveTable
from ._failures import Failure, classify

__all__ = ["require_undoable"]

_AUTOCOMMIT = (
    "The connection is in autocommit, so nothing of a binding could be undone: within=, triggers, views and "
    "child tables need an engine with ordinary transactions."
)
_NO_TRANSACTIONS = (
    "The table is kept by a storage engine without transactions, so nothing of a binding could be undone: "
    "within= and triggers need InnoDB."
)


def require_undoable(connection: Connection, table: LiveTable) -> None:
    """Refuse a connection in autocommit. Its isolation level does not show it, so a savepoint does.

    Args:
        connection: A connection, in a transaction as SQLAlchemy sees it.
        table: The live table of machines.

    Raises:
        ConfigurationError: The server or the driver commits each statement, or the table has no transactions.
    """
    if not table.is_transactional:
        raise ConfigurationError(_NO_TRANSACTIONS)
    if connection.dialect.name == "sqlite":
        driver_connection: Any = connection.connection.dbapi_connection
        # From Python 3.12 on, connections have an attribute autocommit: -1 leaves it to isolation_level.
        begins_itself = getattr(driver_connection, "autocommit", -1) != 1
        if driver_connection.in_transaction or (
            begins_itself and driver_connection.isolation_level is not None
        ):
            return
        raise ConfigurationError(_AUTOCOMMIT)
    try:
        connection.exec_driver_sql("SAVEPOINT aegis_machines")
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT aegis_machines")
    except DBAPIError as error:
        if classify(error) is not Failure.PERMANENT:
            raise
        refused = True
    else:
        refused = False
    if refused:
        raise ConfigurationError(_AUTOCOMMIT)
