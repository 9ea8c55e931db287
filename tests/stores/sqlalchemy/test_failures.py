"""What a failure of a database means, by the errors that drivers really raise."""

from __future__ import annotations

import sqlite3

import psycopg
import psycopg2
import psycopg2.errors
import pymysql
import pytest
from sqlalchemy import exc

from flask_aegis_machines import StoreFailure
from flask_aegis_machines.stores.sqlalchemy._failures import Failure, classify, describe_failure, leaves_doubt
from tests.support.driver_failures import wrap


class Psycopg2State(psycopg2.OperationalError):
    """An error of psycopg2's with a code, which only a server can make."""

    pgcode = "57P01"


class Psycopg2Deadlock(Exception):
    """An error that only its code classifies, under psycopg2's name for it."""

    pgcode = "40P01"


class MySQLdbError(Exception):
    """An error of mysqlclient's, which need not be installed."""

    __module__ = "MySQLdb.exceptions"


MYSQL = pymysql.err.OperationalError
PERMANENT, ONCE, UNKNOWN, CONTENTION, OUTAGE = Failure


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (wrap(MYSQL(1213, "Deadlock found")), CONTENTION),
        (wrap(MYSQL(1205, "Lock wait timeout")), CONTENTION),
        (wrap(MYSQL(1020, "Record has changed")), CONTENTION),
        (wrap(MYSQL(3024, "maximum execution time")), ONCE),
        *(
            (wrap(MYSQL(code, "gone")), OUTAGE)
            for code in (1040, 1047, 1053, 1180, 1290, 1836, 2002, 2003, 2006, 2013, 2055)
        ),
        (wrap(MYSQL(1317, "interrupted")), ONCE),
        (wrap(pymysql.err.IntegrityError(1062, "Duplicate entry 'secret'"), exc.IntegrityError), ONCE),
        *((wrap(MYSQL(code, "wrong")), PERMANENT) for code in (1045, 1049, 1267, 4025)),
        (wrap(pymysql.err.IntegrityError(1452, "foreign key"), exc.IntegrityError), PERMANENT),
        (wrap(pymysql.err.InterfaceError(0, ""), exc.InterfaceError), OUTAGE),
        (MYSQL(2013, "Lost connection"), OUTAGE),
        (wrap(psycopg.errors.SerializationFailure()), CONTENTION),
        (wrap(psycopg.errors.DeadlockDetected()), CONTENTION),
        (wrap(psycopg.errors.LockNotAvailable()), CONTENTION),
        (wrap(psycopg.errors.InFailedSqlTransaction(), exc.InternalError), CONTENTION),
        (wrap(psycopg.errors.QueryCanceled()), ONCE),
        (wrap(psycopg.errors.UniqueViolation(), exc.IntegrityError), ONCE),
        (wrap(psycopg.errors.AdminShutdown()), OUTAGE),
        (wrap(psycopg.errors.TooManyConnections()), OUTAGE),
        (wrap(psycopg.errors.CannotConnectNow()), OUTAGE),
        (wrap(psycopg.errors.IdleInTransactionSessionTimeout(), exc.InternalError), OUTAGE),
        (wrap(psycopg.errors.ReadOnlySqlTransaction(), exc.InternalError), OUTAGE),
        (wrap(psycopg.errors.ConnectionFailure()), OUTAGE),
        (wrap(psycopg.errors.StatementCompletionUnknown()), OUTAGE),
        (wrap(psycopg.errors.IoError()), UNKNOWN),
        (wrap(psycopg.errors.InternalError_()), UNKNOWN),
        (wrap(psycopg.OperationalError("connection refused")), OUTAGE),
        (wrap(psycopg.InterfaceError("connection closed"), exc.InterfaceError), OUTAGE),
        (wrap(psycopg.errors.NotNullViolation(), exc.IntegrityError), PERMANENT),
        (wrap(psycopg.errors.UndefinedTable(), exc.ProgrammingError), PERMANENT),
        (wrap(psycopg.DataError("NUL"), exc.DataError), PERMANENT),
        (wrap(psycopg2.OperationalError("server closed the connection")), OUTAGE),
        (wrap(Psycopg2State()), OUTAGE),
        (wrap(Psycopg2Deadlock()), CONTENTION),
        (wrap(MySQLdbError(1213, "Deadlock found")), CONTENTION),
        (wrap(sqlite3.OperationalError("database is locked")), CONTENTION),
        (wrap(sqlite3.OperationalError("database table is locked: machine")), CONTENTION),
        (wrap(sqlite3.OperationalError("disk I/O error")), UNKNOWN),
        (wrap(sqlite3.OperationalError("no such table: machine")), PERMANENT),
        (wrap(sqlite3.OperationalError("table machine has no column named site")), PERMANENT),
        (wrap(sqlite3.IntegrityError("UNIQUE constraint failed"), exc.IntegrityError), PERMANENT),
        (wrap(RuntimeError("of an unknown driver"), lost=True), OUTAGE),
        (exc.TimeoutError("QueuePool limit"), CONTENTION),
        (exc.ArgumentError("ours"), PERMANENT),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), PERMANENT),
        (exc.StatementError("of a type", "INSERT", {}, KeyError("key")), PERMANENT),
        (StoreFailure("ours"), PERMANENT),
        (RuntimeError("of an event's listener"), UNKNOWN),
        (KeyboardInterrupt(), UNKNOWN),
    ],
    ids=str,
)
def test_each_failure_means_what_it_was_measured_to_mean(error: BaseException, expected: Failure) -> None:
    """Contention is tried again, an outage on another connection, and what is wrong for good is not."""
    assert classify(error) is expected


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            wrap(pymysql.err.IntegrityError(1452, "a foreign key, 'secret'"), exc.IntegrityError),
            "sqlalchemy.exc.IntegrityError from pymysql.err.IntegrityError, code 1452",
        ),
        (
            wrap(psycopg.errors.UndefinedTable("LINE 1: … VALUES ('secret')"), exc.ProgrammingError),
            "sqlalchemy.exc.ProgrammingError from psycopg.errors.UndefinedTable, code 42P01",
        ),
        (
            wrap(sqlite3.OperationalError("no such table: machine")),
            "sqlalchemy.exc.OperationalError from sqlite3.OperationalError, no such table: machine",
        ),
        (
            wrap(sqlite3.OperationalError("table t has no column named site")),
            "sqlalchemy.exc.OperationalError from sqlite3.OperationalError, table t has no column named site",
        ),
        (
            wrap(sqlite3.OperationalError("Could not decode to UTF-8 column 'id_number' with text 'secret'")),
            "sqlalchemy.exc.OperationalError from sqlite3.OperationalError",
        ),
        (ValueError("secret"), "builtins.ValueError"),
    ],
    ids=["MySQL", "PostgreSQL", "SQLite", "SQLite: a column", "SQLite with a value", "others"],
)
def test_a_failure_is_described_without_values(error: Exception, text: str) -> None:
    """The description has the classes and the code, and no text that may quote a statement's values."""
    assert describe_failure(error) == text


def test_the_description_names_the_line_that_raised() -> None:
    """With no traceback to the driver, one line of it helps those who look for the cause."""
    with pytest.raises(ValueError, match="secret") as raised:
        raise ValueError("secret")
    assert describe_failure(raised.value).startswith("builtins.ValueError, at test_failures.py:")


@pytest.mark.parametrize("code", [1290, 1792, 1836])
def test_a_server_that_refuses_to_write_leaves_no_doubt(code: int) -> None:
    """The INSERT was not executed, so the failure does not call the outcome unknown."""
    assert classify(pymysql.OperationalError(code, "")) is Failure.OUTAGE
    assert not leaves_doubt(pymysql.OperationalError(code, ""))
    assert leaves_doubt(pymysql.OperationalError(2013, ""))
