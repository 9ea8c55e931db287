"""What a database error means for the transaction that met it.

The codes are those that PostgreSQL, MySQL, MariaDB with Galera, and SQLite returned under faults, and their
neighbours from the manuals. The texts of drivers quote the values of a statement. Therefore a description of
an error has its classes, its code and the names of columns and keys, and never its text.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from flask_aegis_machines._errors import StoreFailure
from flask_aegis_machines._exception_text import place_of

from ._advice import NO_KEY, advice_for

__all__ = [
    "NO_KEY",
    "Failure",
    "NothingStored",
    "classify",
    "describe_failure",
    "is_foreign_text",
    "leaves_doubt",
]


class NothingStored(StoreFailure):
    """The INSERT reported no row, or another row than the one sent, and no bound code explains it."""


class Failure(Enum):
    """What kind of failure an error is. Whether and how long it is retried depends on it."""

    PERMANENT = auto()
    """Do not retry."""
    ONCE = auto()
    """A statement was cancelled, or an INSERT met a key that no row explains: retry once."""
    UNKNOWN = auto()
    """Something else went wrong, perhaps after the COMMIT: retry once."""
    CONTENTION = auto()
    """Another transaction was in the way, and nothing was committed: retry."""
    OUTAGE = auto()
    """This server or connection cannot serve, and may have committed: retry on another connection."""


# MySQL and MariaDB have error numbers, PostgreSQL has SQLSTATEs.
_MEANINGS: dict[int | str, Failure] = {
    1062: Failure.ONCE,  # duplicate entry
    1317: Failure.ONCE,  # query interrupted
    1969: Failure.ONCE,  # max_statement_time exceeded (MariaDB)
    3024: Failure.ONCE,  # max_execution_time exceeded (MySQL)
    "23505": Failure.ONCE,  # unique_violation
    "57014": Failure.ONCE,  # query_canceled
    1020: Failure.CONTENTION,  # the row has changed since the snapshot (MariaDB)
    1205: Failure.CONTENTION,  # lock wait timeout
    1213: Failure.CONTENTION,  # deadlock, or a conflict between Galera nodes
    3101: Failure.CONTENTION,  # conflict in Group Replication
    "25P02": Failure.CONTENTION,  # in_failed_sql_transaction
    "40001": Failure.CONTENTION,  # serialization_failure
    "40P01": Failure.CONTENTION,  # deadlock_detected
    "55P03": Failure.CONTENTION,  # lock_not_available
    0: Failure.OUTAGE,  # PyMySQL: connection is closed
    1040: Failure.OUTAGE,  # too many connections
    1047: Failure.OUTAGE,  # Galera node outside of the primary component
    1053: Failure.OUTAGE,  # server shutdown in progress
    1158: Failure.OUTAGE,  # error reading packets
    1159: Failure.OUTAGE,  # timeout reading packets
    1160: Failure.OUTAGE,  # error writing packets
    1161: Failure.OUTAGE,  # timeout writing packets
    1180: Failure.OUTAGE,  # error during COMMIT
    1203: Failure.OUTAGE,  # max_user_connections
    1290: Failure.OUTAGE,  # server runs with --read-only
    1792: Failure.OUTAGE,  # read-only transaction
    1836: Failure.OUTAGE,  # read-only mode
    1927: Failure.OUTAGE,  # connection was killed
    2002: Failure.OUTAGE,  # cannot connect through a socket
    2003: Failure.OUTAGE,  # cannot connect through TCP
    2006: Failure.OUTAGE,  # server has gone away
    2013: Failure.OUTAGE,  # connection lost during a query
    2014: Failure.OUTAGE,  # commands out of sync
    2055: Failure.OUTAGE,  # connection lost, with a system error
    4031: Failure.OUTAGE,  # disconnected by the server because of inactivity
    "25006": Failure.OUTAGE,  # read_only_sql_transaction: a standby or an old primary
    "25P03": Failure.OUTAGE,  # idle_in_transaction_session_timeout
    "40003": Failure.OUTAGE,  # statement_completion_unknown
    "53300": Failure.OUTAGE,  # too_many_connections
    "57P01": Failure.OUTAGE,  # admin_shutdown
    "57P02": Failure.OUTAGE,  # crash_shutdown
    "57P03": Failure.OUTAGE,  # cannot_connect_now
    "57P05": Failure.OUTAGE,  # idle_session_timeout
}

_MEANINGS_OF_CLASSES = {
    "08": Failure.OUTAGE,  # connection exception
    "58": Failure.UNKNOWN,  # system error, such as a full disk at the COMMIT
    "XX": Failure.UNKNOWN,  # internal error, also of poolers
}

# Codes with which a server has refused to write at all.
_READ_ONLY = {1290, 1792, 1836, "25006"}

# MySQL's number where a text has characters that the character set of the column lacks.
_NO_COMMON_COLLATION = 1267

# Classes of errors about a statement that was refused, by SQLAlchemy, a driver or a server.
_REFUSED = {"AegisMachinesError", "DatabaseError", "SQLAlchemyError", "TypeError", "ValueError"}

# SQLite has no helpful codes. These of its texts name tables and columns, and no value.
_SQLITE_TEXT_WITHOUT_VALUES = re.compile(
    r"no such |table \S+ has no column |database |attempt to write |unable to open |ON CONFLICT clause "
    r"|[A-Z ]+ constraint failed"
)
# The texts of MySQL's 1048 and 1364 name the column, and no value.
_MYSQL_COLUMN = re.compile(r"(?:Column|Field) '([^']+)' (?:cannot be null|doesn't have a default value)")


def classify(error: BaseException) -> Failure:
    """Return what a failure means.

    Args:
        error: What SQLAlchemy, a driver or the application raised.

    Returns:
        What to do.
    """
    if isinstance(error, NothingStored):
        return Failure.ONCE
    if isinstance(error, PoolTimeout):
        return Failure.CONTENTION
    if getattr(error, "connection_invalidated", False):
        return Failure.OUTAGE
    driver_error = _driver_error(error)
    code = _code(driver_error)
    if code is not None:
        if isinstance(code, str) and code[:2] in _MEANINGS_OF_CLASSES:
            return _MEANINGS_OF_CLASSES[code[:2]]
        return _MEANINGS.get(code, Failure.PERMANENT)
    classes = {each.__name__ for each in type(driver_error).__mro__}
    if not {"OperationalError", "InterfaceError"} & classes:
        refused = type(error) is StatementError or _REFUSED & classes
        return Failure.PERMANENT if refused else Failure.UNKNOWN
    if _is_sqlite(driver_error):
        text = str(driver_error)
        if "is locked" in text:
            return Failure.CONTENTION
        return Failure.UNKNOWN if "disk I/O error" in text else Failure.PERMANENT
    # A broken or refused connection: the drivers of PostgreSQL have no code for it.
    return Failure.OUTAGE


def leaves_doubt(error: BaseException) -> bool:
    """Return whether a statement that failed may have been executed all the same.

    Args:
        error: What SQLAlchemy, a driver or the application raised.
    """
    if _code(_driver_error(error)) in _READ_ONLY:
        return False
    return classify(error) in (Failure.OUTAGE, Failure.UNKNOWN)


def is_foreign_text(error: BaseException) -> bool:
    """Return whether a text cannot be compared, since the column or the database has no such character.

    Args:
        error: What SQLAlchemy, a driver or the application raised.
    """
    driver_error = _driver_error(error)
    return isinstance(driver_error, UnicodeEncodeError) or _code(driver_error) == _NO_COMMON_COLLATION


def describe_failure(error: BaseException) -> str:
    """Return a line for the log about a failure: classes, code, names of columns, and what to do.

    Args:
        error: What SQLAlchemy, a driver or the application raised.

    Returns:
        One line without any value of a statement.
    """
    if isinstance(error, StoreFailure):
        return str(error)
    driver_error = _driver_error(error)
    classes = dict.fromkeys(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in (error, driver_error)
    )
    text = " from ".join(classes)
    if (code := _code(driver_error)) is not None:
        text += f", code {code}"
    elif _is_sqlite(driver_error) and _SQLITE_TEXT_WITHOUT_VALUES.match(str(driver_error)):
        text += f", {driver_error}"
    if named := _named_column_or_key(driver_error):
        text += f", {named}"
    if place := place_of(error):
        text += f", at {place}"
    advice = advice_for(code, str(driver_error))
    return f"{text}: {advice}" if advice else text


def _named_column_or_key(driver_error: BaseException) -> str | None:
    if _is_mysql(driver_error):
        text = str(driver_error.args[1]) if len(driver_error.args) > 1 else ""
        found = _MYSQL_COLUMN.match(text)
        return f"column {found.group(1)}" if found else None
    diagnostics = getattr(driver_error, "diag", None)
    column, key = (getattr(diagnostics, f"{name}_name", None) for name in ("column", "constraint"))
    return f"column {column}" if column else f"constraint {key}" if key else None


def _driver_error(error: BaseException) -> BaseException:
    """Return the error of the driver, which SQLAlchemy wraps in most of its own."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error


def _code(driver_error: BaseException) -> int | str | None:
    # MySQL's drivers first: PyMySQL knows a SQLSTATE too, but it says less than the number.
    if _is_mysql(driver_error):
        number = driver_error.args[0] if driver_error.args else None
        return number if isinstance(number, int) else None
    state = getattr(driver_error, "sqlstate", None) or getattr(driver_error, "pgcode", None)
    return state if isinstance(state, str) else None


def _is_mysql(driver_error: BaseException) -> bool:
    return type(driver_error).__module__.partition(".")[0] in {"pymysql", "MySQLdb"}


def _is_sqlite(driver_error: BaseException) -> bool:
    return type(driver_error).__module__ == "sqlite3"
