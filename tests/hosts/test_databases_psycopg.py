"""A host without SQLAlchemy: stores on psycopg 3 only, and the contracts that prove them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from flask_aegis_machines import (
    Machine,
    MachineCodeTaken,
    MachineStore,
    Owner,
    StoreFailure,
    User,
    UserNotFound,
    UserStore,
)
from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.testing import MachineStoreContract, UserStoreContract, make_machine
from tests.servers import PostgresServer, Proxy
from tests.support.database_hosts import CODE, assert_binds_once, mount
from tests.support.hosts import FIRST, SECOND

COLUMNS = ", ".join(MACHINE_FIELDS)
VALUES = ", ".join(f"%({name})s" for name in MACHINE_FIELDS)
TABLES = f"""
    DROP TABLE IF EXISTS machine, account;
    CREATE TABLE account (
        id integer PRIMARY KEY,
        aegisspeed_id varchar(9) NOT NULL UNIQUE,
        id_number varchar(18) NOT NULL
    );
    CREATE TABLE machine (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        user_id integer NOT NULL REFERENCES account,
        attempt uuid NOT NULL,
        registered_at timestamptz NOT NULL,
        {" ".join(f"{name} varchar(255) NOT NULL," for name in MACHINE_FIELDS)}
        UNIQUE (machine_code)
    )
"""
INSERT = f"""
    INSERT INTO machine (user_id, attempt, registered_at, {COLUMNS})
    VALUES (%(user_id)s, %(attempt)s, %(registered_at)s, {VALUES})
"""
# FOR SHARE waits for a row whose COMMIT still waits for a standby.
FIND = "SELECT attempt, user_id FROM machine WHERE machine_code = %s FOR SHARE"
PAGE = f"""
    SELECT {COLUMNS}, registered_at FROM machine
    WHERE user_id = %(owner)s AND (%(after)s::text IS NULL OR id > (
        SELECT id FROM machine WHERE machine_code = %(after)s AND user_id = %(owner)s
    ))
    ORDER BY id LIMIT %(limit)s
"""


def execute(conninfo: str, statement: str, values: Any) -> list[tuple[Any, ...]]:
    """Execute one statement, which is its own transaction; a host would take the connection from its pool."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


class PsycopgUserStore(UserStore):
    """Users in the table ``account``."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def get(self, identity: str) -> User | None:
        if not re.fullmatch("[1-9][0-9]{0,8}", identity):  # not how an integer of PostgreSQL's is written
            return None
        query = "SELECT id, aegisspeed_id, id_number FROM account WHERE id = %s"
        rows = execute(self._conninfo, query, [int(identity)])
        return User(*rows[0]) if rows else None


class PsycopgMachineStore(MachineStore):
    """Machines in the table ``machine``, whose unique key decides."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def bind(self, machine: Machine, user: User) -> None:
        row = {name: getattr(machine, name) for name in MACHINE_FIELDS}
        registered_at = machine.registered_at or datetime.now(timezone.utc)
        row.update(user_id=user.key, attempt=uuid.uuid4(), registered_at=registered_at)
        try:
            self._insert(row)
            return
        except ForeignKeyViolation:
            raise UserNotFound from None
        except UniqueViolation:
            pass
        ((attempt, owner),) = execute(self._conninfo, FIND, [machine.machine_code])
        if attempt != row["attempt"]:
            raise MachineCodeTaken(by_same_user=owner == user.key)

    def _insert(self, row: dict[str, Any]) -> None:
        try:
            execute(self._conninfo, INSERT, row)
        except psycopg.OperationalError:
            # The reply is lost, and nobody knows whether the row is there. The same row again either gets
            # there now or meets the key; then its attempt shows that it is ours.
            try:
                execute(self._conninfo, INSERT, row)
            except psycopg.OperationalError as error:
                raise StoreFailure("no reply from the database, outcome unknown") from error

    def owner_of(self, machine_code: str) -> Owner | None:
        query = "SELECT user_id FROM machine WHERE machine_code = %s"
        rows = execute(self._conninfo, query, [machine_code])
        return Owner(rows[0][0]) if rows else None

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        rows = execute(self._conninfo, PAGE, {"owner": user.key, "after": after, "limit": limit})
        return [Machine(*facts, registered_at.astimezone(timezone.utc)) for *facts, registered_at in rows]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    """An empty database."""
    postgres.create_database("without_sqlalchemy")
    return postgres.url("psycopg", "without_sqlalchemy").replace("+psycopg", "")


@pytest.fixture
def conninfo(database: str) -> str:
    """Where the host's tables are, with its two users."""
    with psycopg.connect(database) as connection:
        connection.execute(TABLES)
        for user in (FIRST, SECOND):
            values = [user.key, user.aegisspeed_id, user.id_number]
            connection.execute("INSERT INTO account VALUES (%s, %s, %s)", values)
    return database


class TestPsycopgUserStore(UserStoreContract):
    """Users in a table."""

    @pytest.fixture
    def store(self, conninfo: str) -> PsycopgUserStore:
        return PsycopgUserStore(conninfo)

    @pytest.fixture
    def user(self) -> User:
        return FIRST


class TestPsycopgMachineStore(MachineStoreContract):
    """Machines in a table."""

    @pytest.fixture
    def store(self, conninfo: str) -> PsycopgMachineStore:
        return PsycopgMachineStore(conninfo)

    @pytest.fixture
    def reopened(self, conninfo: str) -> PsycopgMachineStore:
        return PsycopgMachineStore(conninfo)

    @pytest.fixture
    def owners(self) -> tuple[User, User]:
        return FIRST, SECOND


def test_a_host(conninfo: str) -> None:
    """Over HTTP the machine is bound once, and its row is in the host's table."""
    assert_binds_once(mount(PsycopgUserStore(conninfo), PsycopgMachineStore(conninfo)))
    assert execute(conninfo, "SELECT machine_code, user_id FROM machine", []) == [(CODE, FIRST.key)]


def test_a_user_who_is_gone(conninfo: str) -> None:
    """The foreign key finds out, and nothing is stored."""
    store = PsycopgMachineStore(conninfo)
    with pytest.raises(UserNotFound):
        store.bind(make_machine(), User(3, "ASD000003", ""))
    assert store.owner_of(make_machine().machine_code) is None


class TestLostReplies:
    """The server does its work, and the answer does not arrive."""

    @pytest.fixture
    def proxy(self, postgres: PostgresServer) -> Iterator[Proxy]:
        """A proxy before the server, which drops the reply to the next INSERT."""
        with Proxy("127.0.0.1", postgres.port) as proxy:
            proxy.lose_commit_reply(lambda sent: b"INSERT" in sent)
            yield proxy

    @pytest.fixture
    def store(self, conninfo: str, proxy: Proxy) -> PsycopgMachineStore:
        """A store that goes through the proxy."""
        return PsycopgMachineStore(make_conninfo(conninfo, port=proxy.port))

    def test_our_own_row_is_a_success(self, store: PsycopgMachineStore, proxy: Proxy) -> None:
        """The same row again meets the key, and its attempt is this one."""
        store.bind(make_machine(), FIRST)
        assert proxy.fired == 1
        assert len(store.list_for(FIRST)) == 1

    def test_another_s_row_is_a_no(self, store: PsycopgMachineStore, proxy: Proxy, conninfo: str) -> None:
        """A reply that is lost does not hide that another was first."""
        PsycopgMachineStore(conninfo).bind(make_machine(), SECOND)
        with pytest.raises(MachineCodeTaken) as taken:
            store.bind(make_machine(), FIRST)
        assert (proxy.fired, taken.value.by_same_user) == (1, False)

    def test_no_reply_at_all_is_said_to_be_unknown(
        self, store: PsycopgMachineStore, proxy: Proxy, conninfo: str
    ) -> None:
        """The failure says that the row may be there, and it is."""
        proxy.lose_commit_reply(lambda sent: b"INSERT" in sent, times=None)
        with pytest.raises(StoreFailure, match="outcome unknown"):
            store.bind(make_machine(), FIRST)
        assert PsycopgMachineStore(conninfo).owner_of(make_machine().machine_code) is not None
