"""What a failure of a database means for the transaction that met it.

The codes are those that PostgreSQL, MySQL, MariaDB with Galera, and SQLite were seen to give under faults,
and their neighbours from the manuals. Errors of a driver quote the values of a statement in their texts, so
what is told of one is its classes and its code.
"""

from __future__ import annotations

import re
import traceback
from enum import Enum, auto
from pathlib import Path

from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

__all__ = ["Failure", "classify", "describe"]


class Failure(Enum):
    """What to do after a failure."""

    PERMANENT = auto()
    """Do not try again."""
    ONCE = auto()
    """A statement was cancelled, or a key violated that no row explains: try again once."""
    UNKNOWN = auto()
    """Something else went wrong, perhaps after the commit: try again once."""
    CONTENTION = auto()
    """Others were in the way and nothing was committed: try again."""
    OUTAGE = auto()
    """This server or connection cannot serve, and may have committed: try again on another connection."""


# SQLite has no codes worth telling; these of its texts name tables and columns.
_NAMES_NO_VALUE = re.compile(
    r"no such |database |attempt to write |unable to open |[A-Z ]+ constraint failed"
)

# Of these classes are the errors of a statement that was refused, by whichever of the parties.
_REFUSED = {"AegisMachinesError", "DatabaseError", "SQLAlchemyError", "TypeError", "ValueError"}

# MySQL and MariaDB by error number, PostgreSQL by SQLSTATE (class 08 is added below).
_BY_CODE: dict[int | str, Failure] = {
    **dict.fromkeys([1062, 1317, 1969, "23505", "57014"], Failure.ONCE),
    **dict.fromkeys([1205, 1213, 3101, "40001", "40P01", "55P03", "25P02"], Failure.CONTENTION),
    **dict.fromkeys([0, 1040, 1047, 1053, 1158, 1159, 1160, 1161, 1180, 1203], Failure.OUTAGE),
    **dict.fromkeys([1290, 1792, 1836, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 4031], Failure.OUTAGE),
    **dict.fromkeys(["25006", "25P03", "53300", "57P01", "57P02", "57P03", "57P05"], Failure.OUTAGE),
}


def classify(error: BaseException) -> Failure:
    """Tell what a failure means.

    Args:
        error: What SQLAlchemy or a driver raised, or anything else.

    Returns:
        What to do; ``PERMANENT`` for whatever is not known to pass.

    Raises:
        Nothing.
    """
    if isinstance(error, PoolTimeout):
        return Failure.CONTENTION
    if getattr(error, "connection_invalidated", False):
        return Failure.OUTAGE
    driver = _driver_error(error)
    code = _code(driver)
    if code is not None:
        lost = isinstance(code, str) and code.startswith("08")
        return Failure.OUTAGE if lost else _BY_CODE.get(code, Failure.PERMANENT)
    kinds = {kind.__name__ for kind in type(driver).__mro__}
    if not {"OperationalError", "InterfaceError"} & kinds:
        refused = type(error) is StatementError or _REFUSED & kinds
        return Failure.PERMANENT if refused else Failure.UNKNOWN
    if _is_sqlite(driver):
        text = str(driver)
        if "is locked" in text:
            return Failure.CONTENTION
        return Failure.UNKNOWN if "disk I/O error" in text else Failure.PERMANENT
    # A connection that broke, or that could not be made: PostgreSQL's drivers have no code for it.
    return Failure.OUTAGE


def describe(error: BaseException) -> str:
    """Tell of a failure without any value: classes, code, and the line that raised it.

    Args:
        error: What SQLAlchemy or a driver raised, or anything else.

    Returns:
        One line of text, for a log.

    Raises:
        Nothing.
    """
    driver = _driver_error(error)
    kinds = dict.fromkeys(f"{type(each).__module__}.{type(each).__qualname__}" for each in (error, driver))
    text = " from ".join(kinds)
    code = _code(driver)
    if code is not None:
        text += f", code {code}"
    elif _is_sqlite(driver) and _NAMES_NO_VALUE.match(str(driver)):
        text += f", {driver}"
    frames = traceback.extract_tb(error.__traceback__)
    return text + (f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "")


def _driver_error(error: BaseException) -> BaseException:
    """Return what the driver raised: bare where SQLAlchemy wraps nothing, such as setting autocommit."""
    original = getattr(error, "orig", None)
    return original if isinstance(original, BaseException) else error


def _code(driver: BaseException) -> int | str | None:
    # MySQL's drivers first: PyMySQL knows a SQLSTATE too, but it says less than the number.
    if type(driver).__module__.partition(".")[0] in {"pymysql", "MySQLdb"}:
        number = driver.args[0] if driver.args else None
        return number if isinstance(number, int) else None
    state = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    return state if isinstance(state, str) else None


def _is_sqlite(driver: BaseException) -> bool:
    return type(driver).__module__ == "sqlite3"
