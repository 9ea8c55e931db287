"""One set-up of a host's tables, what it is expected to do, and the promise that it is held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, String, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, declarative_base

from flask_aegis_machines._records import MACHINE_FIELDS
from flask_aegis_machines.stores.sqlalchemy import AccountMixin, MachineMixin

__all__ = [
    "LETTERS",
    "WITHOUT_KEYS_TO_USERS",
    "Answers",
    "SetUp",
    "assert_promise",
    "caller",
    "code_column",
    "insert_machine",
    "machine_table",
    "make_models",
    "make_tables",
    "on_connect",
    "serial_number_column",
]

LETTERS = "abcd1234efgh5678ijkl9012mnop3456"

#: Statements of MariaDB that drop the foreign key of the machines.
WITHOUT_KEYS_TO_USERS = (
    "SET @statement = (SELECT concat('ALTER TABLE machine DROP FOREIGN KEY ', constraint_name)"
    " FROM information_schema.referential_constraints WHERE constraint_schema = database())",
    "EXECUTE IMMEDIATE @statement",
)

#: The key of the user who binds or asks, for hosts that set it on their connections.
caller: ContextVar[object] = ContextVar("caller")

Columns = Callable[[], Mapping[str, Any]]
Answers = Mapping[str, Sequence[tuple[object, str]]]


@dataclass(frozen=True)
class SetUp:
    """A host's set-up, and what mount, the endpoints and ``doctor`` make of it.

    Each way to bind a machine is tried with one code by the first user, the same code by the second, and by
    the second user a code that differs in case (or, for digits, in the last one). ``register`` has the three
    answers. What is ``None`` follows from ``register``.

    Args:
        name: What is special about it.
        live: Statements that change the tables which the models made, as migrations or people do.
        machine: Makes the attributes of the model of machines that differ from the usual ones.
        user: The same for the model of users.
        models: Makes both models, for what attributes cannot say.
        store: Arguments of the machine store.
        engine: Changes the engine of the host: listeners, execution options.
        options: Arguments of ``create_engine``.
        is_role: Whether the host connects as the account ``{role}``, which ``live`` has created.
        keys: The keys of the two users, which are their identities as well.
        code: The code that the first user binds.
        mount: A part of the text with which mount refuses; then nothing else is tried.
        register: The codes of the three answers.
        check: What the check of the code says to both users: ``free``, ``bound`` or ``failed``.
        lists: How many machines the lists of both users have, or ``failed``.
        imported: As ``register``, for ``bind_many``; one code where it raises.
        joined: As ``register``, for ``transaction="host"``.
        log: A part of the text that is logged with each 10005.
        doctor: Parts of the problems that ``doctor`` reports, one for each.
        trial: A part of what ``doctor --trial`` reports.
        is_beyond: Whether an INSERT cannot show what is wrong, so that only ``doctor`` reports it.
        rows: The query that reads codes and owners on a fresh connection.
        decode: Decodes a code of ``rows``.
        leftovers: A query that has no rows, where a refused binding could have left some.
    """

    name: str
    live: Sequence[str] = ()
    machine: Columns = dict
    user: Columns = dict
    models: Callable[[], tuple[Any, Any]] | None = None
    store: Mapping[str, Any] = field(default_factory=dict)
    engine: Callable[[Engine], Engine | None] = lambda engine: engine
    options: Mapping[str, Any] = field(default_factory=dict)
    is_role: bool = False
    keys: tuple[Any, Any] = (1, 2)
    code: str = LETTERS
    mount: str = ""
    register: str = "10000 10004 10000"
    check: str | None = None
    lists: str | None = None
    imported: str | None = None
    joined: str | None = None
    log: str = ""
    doctor: Sequence[str] = ()
    trial: str = ""
    is_beyond: bool = False
    rows: str = "SELECT machine_code, user_id FROM machine"
    decode: Callable[[str], str] = str
    leftovers: str | None = None

    def expected(self) -> dict[str, str]:
        """Return what each way is expected to answer."""
        first, second, third = self.register.split()
        owned = [int(first == "10000"), [second, third].count("10000")]
        check = "bound" if "10000" in (first, second) else "free"
        return {
            "register": self.register,
            "check": f"{check} {check}" if self.check is None else self.check,
            "lists": f"{owned[0]} {owned[1]}" if self.lists is None else self.lists,
            "joined": self.register if self.joined is None else self.joined,
            "imported": self.imported or ("10005" if "10005" in self.register else self.register),
        }

    def codes(self, way: int) -> tuple[str, str]:
        """Return the code of the first user and that of the second, which no other way uses."""
        start = "abc"[way] if self.code[0].isalpha() else "123"[way]
        code = start + self.code[1:]
        twin = code.swapcase()
        return code, twin if twin != code else f"{code[:-1]}9"

    def __str__(self) -> str:
        return self.name


def make_models(set_up: SetUp) -> tuple[Any, Any]:
    """Make the models of users and machines, the usual ones unless the set-up says otherwise."""
    if set_up.models is not None:
        return set_up.models()
    base: Any = declarative_base()
    user = {"id": Column(Integer, primary_key=True, autoincrement=False), **set_up.user()}
    machine = {
        "id": Column(Integer, primary_key=True),
        "user_id": Column(ForeignKey("account.id")),
        "__table_args__": (Index("machine_page", "user_id", "registered_at", "machine_code"),),
        **set_up.machine(),
    }
    return (
        type("Account", (AccountMixin, base), {"__tablename__": "account", **user}),
        type("Machine", (MachineMixin, base), {"__tablename__": "machine", **machine}),
    )


def make_tables(engine: Engine, set_up: SetUp, user: Any, machine: Any) -> None:
    """Make the tables of the models, with two users."""
    for model in (user, machine):
        model.metadata.create_all(engine)
    with Session(engine) as session:
        for number, key in enumerate(set_up.keys, 1):
            identifiers = {"aegisspeed_id": f"ASD00000{number}", "id_number": f"11010119900307123{number}"}
            session.add(user(id=key, **identifiers))
        session.commit()


def code_column(kind: Any, **options: Any) -> Columns:
    """Return a function that makes the column ``machine_code`` with an ordinary unique key."""
    return lambda: {"machine_code": Column(kind, **{"unique": True, "nullable": False, **options})}


def serial_number_column(*arguments: Any, **options: Any) -> Columns:
    """Return a function that makes a NOT NULL column that the stores do not know."""
    return lambda: {"serial_number": Column(String(20), *arguments, **{"nullable": False, **options})}


def on_connect(statement: str) -> Callable[[Engine], None]:
    """Return a function that lets an engine execute and commit a statement on each new connection."""

    def listen(engine: Engine) -> None:
        @event.listens_for(engine, "connect")
        def execute(connection: Any, record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()
            connection.commit()

    return listen


def assert_promise(
    answers_by_code: Answers, before: Sequence[tuple[str, object]], after: Sequence[tuple[str, object]]
) -> None:
    """Assert that the table has what was there before, one row for each 10000, and no other row.

    Args:
        answers_by_code: For each code the answers, each with the key of the user who got it.
        before: Codes and owners in the table before.
        after: Codes and owners in the table afterwards, read on a fresh connection.
    """
    owners = {
        code: [key for key, answer in answers if answer == "10000"]
        for code, answers in answers_by_code.items()
    }
    assert all(len(keys) <= 1 for keys in owners.values()), "two users got 10000 for one code"
    expected = Counter((code, str(key)) for code, key in before)
    expected.update((code, str(key)) for code, keys in owners.items() for key in keys)
    assert Counter((code, str(key)) for code, key in after) == expected


def machine_table(*clauses: str, options: str = "", **types: str) -> tuple[str, ...]:
    """Return statements that make the table of machines again, as a migration may have written it.

    Args:
        clauses: Further columns and constraints.
        options: What follows the list of columns.
        types: The declarations of columns that differ from the usual ones; an empty one leaves a column out.
    """
    columns = {
        "id": "INTEGER PRIMARY KEY",
        "user_id": "INTEGER REFERENCES account (id)",
        "machine_code": "VARCHAR(32) NOT NULL UNIQUE",
        **dict.fromkeys(MACHINE_FIELDS[1:], "VARCHAR(255) NOT NULL"),
        "registered_at": "TIMESTAMP NOT NULL",
        "attempt": "VARCHAR(32) NOT NULL",
        **types,
    }
    declared = [f"{name} {kind}" for name, kind in columns.items() if kind]
    return (
        "DROP TABLE machine",
        f"CREATE TABLE machine ({', '.join([*declared, *clauses])}) {options}",
        "CREATE INDEX machine_page ON machine (user_id, registered_at, machine_code)",
    )


def insert_machine(table: str, code: str, owner: int) -> str:
    """Return a statement that stores a machine, as other code than the stores may do."""
    columns = ", ".join([*MACHINE_FIELDS, "user_id", "registered_at", "attempt"])
    facts = ", ".join([f"'{code}'", *["'x'"] * (len(MACHINE_FIELDS) - 1)])
    return f"INSERT INTO {table} (id, {columns}) VALUES ({owner}, {facts}, {owner}, now(), 'x')"
