"""Hosts on Flask-SQLAlchemy 2.5 and 3: bind keys, styles of models, several apps, their own transactions."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm, select

from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.support.database_hosts import CODE, IDS, assert_binds_once, mount, read, register
from tests.support.hosts import USER_COLUMNS, assert_answer

VISITS = "SELECT name FROM visit ORDER BY name"
VERSION = tuple(int(part) for part in version("Flask-SQLAlchemy").split(".")[:2])


@pytest.fixture
def db() -> Any:
    """What a host's models and apps share."""
    return SQLAlchemy()


def make_app(db: Any, folder: Path, *binds: str) -> Flask:
    """Make an app with a file for its default database and one for each bind key."""
    app = Flask("host")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/default.db"
    app.config["SQLALCHEMY_BINDS"] = {bind: f"sqlite:///{folder}/{bind}.db" for bind in binds}
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
    db.init_app(app)
    return app


def make_tables(app: Flask, db: Any, *rows: object) -> None:
    """Make the tables of every bind, with these rows."""
    with app.app_context():
        db.create_all()
        db.session.add_all(rows)
        db.session.commit()


def make_stores(
    session: Callable[[], orm.Session], user: type, machine: type, **options: Any
) -> tuple[SQLAlchemyUserStore, SQLAlchemyMachineStore]:
    """Make the two stores of a host."""
    users = SQLAlchemyUserStore(session, user, **USER_COLUMNS, **options)
    return users, SQLAlchemyMachineStore(session, machine, **options)


def make_models(db: Any, users_in: str | None = None, machines_in: str | None = None) -> tuple[Any, Any]:
    """Make models as the README has them, without a foreign key, which no two databases share."""

    class User(db.Model):
        __bind_key__ = users_in
        id = db.Column(db.Integer, primary_key=True)
        aegisspeed_id = db.Column(db.String(9), unique=True)
        id_number = db.Column(db.String(18))

    class Machine(MachineMixin, db.Model):
        __bind_key__ = machines_in
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.Integer, nullable=False, index=True)

    return User, Machine


@pytest.mark.parametrize(
    ("users_in", "machines_in"),
    [(None, None), (None, "one"), ("one", None), ("one", "one"), ("one", "two")],
    ids=["default", "machines elsewhere", "users elsewhere", "both elsewhere", "each elsewhere"],
)
def test_bind_keys(db: Any, users_in: str | None, machines_in: str | None, tmp_path: Path) -> None:
    """Users are looked up and machines bound each in the database of their model's bind key."""
    app = make_app(db, tmp_path, "one", "two")
    user, machine = make_models(db, users_in, machines_in)
    make_tables(app, db, user(id=1, **IDS))
    mount(*make_stores(db.session, user, machine), app)
    assert_binds_once(app)
    assert read(tmp_path / f"{machines_in or 'default'}.db") == [(CODE, 1)]


def test_one_db_in_two_apps(db: Any, tmp_path: Path) -> None:
    """Stores made once serve several apps, each on the database of its own."""
    user, machine = make_models(db)
    stores = make_stores(db.session, user, machine)
    folders = [tmp_path / name for name in ("first", "second")]
    apps = []
    for folder in folders:
        folder.mkdir()
        app = make_app(db, folder)
        make_tables(app, db, user(id=1, **IDS))
        apps.append(mount(*stores, app))
    for app in apps:
        assert_binds_once(app)
    assert [read(folder / "default.db") for folder in folders] == [[(CODE, 1)]] * 2


@pytest.mark.skipif(
    VERSION < (3, 1), reason="model_class takes a DeclarativeBase from Flask-SQLAlchemy 3.1 on"
)
class TestStyles:
    """Models in the style of SQLAlchemy 2."""

    @pytest.fixture
    def db(self) -> Any:
        class Base(orm.DeclarativeBase):
            pass

        return SQLAlchemy(model_class=Base)

    def test_a_declarative_base(self, db: Any, tmp_path: Path) -> None:
        """The mixins go before models with annotated columns."""

        class User(AccountMixin, db.Model):
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

        class Machine(MachineMixin, db.Model):
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
            user_id: orm.Mapped[int] = orm.mapped_column(db.ForeignKey("user.id"), index=True)

        app = make_app(db, tmp_path)
        make_tables(app, db, User(id=1, **IDS))
        assert_binds_once(mount(*make_stores(db.session, User, Machine), app))
        assert read(tmp_path / "default.db") == [(CODE, 1)]

    def test_dataclasses(self, db: Any, tmp_path: Path) -> None:
        """The columns of the mixins are no parameters of a dataclass, and are set once it is made."""

        class User(AccountMixin, orm.MappedAsDataclass, db.Model):
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

        class Machine(MachineMixin, orm.MappedAsDataclass, db.Model):
            id: orm.Mapped[int] = orm.mapped_column(primary_key=True, init=False)
            user_id: orm.Mapped[int] = orm.mapped_column(db.ForeignKey("user.id"), index=True)

        app = make_app(db, tmp_path)
        user = User(1)
        user.aegisspeed_id, user.id_number = IDS.values()
        make_tables(app, db, user)
        assert_binds_once(mount(*make_stores(db.session, User, Machine), app))
        assert read(tmp_path / "default.db") == [(CODE, 1)]


def test_accounts_beside_users_that_may_not_change(db: Any, tmp_path: Path) -> None:
    """The token names the user; a user without an account is no user to us."""

    class User(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(20))

    class Account(AccountMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.ForeignKey("user.id"), unique=True, nullable=False)

    class Machine(MachineMixin, db.Model):
        id = db.Column(db.Integer, primary_key=True)
        user_id = db.Column(db.ForeignKey("user.id"), nullable=False, index=True)

    app = make_app(db, tmp_path)
    make_tables(app, db, User(id=7, name="has one"), User(id=8, name="has none"))
    make_tables(app, db, Account(id=1, user_id=7, **IDS))
    names = {**USER_COLUMNS, "identity": "user_id"}
    mount(SQLAlchemyUserStore(db.session, Account, **names), SQLAlchemyMachineStore(db.session, Machine), app)
    assert_binds_once(app, "7")
    assert [register(app, identity).status_code for identity in ("1", "8")] == [404, 404]
    assert read(tmp_path / "default.db") == [(CODE, 7)]


class TestTransactionOfTheHost:
    """``transaction="host"``: each request of the host's is one transaction, which it ends itself."""

    @pytest.fixture
    def make_host(self, db: Any, tmp_path: Path) -> Callable[..., Flask]:
        """Return a maker of hosts that note each request in their own table before our view runs."""
        app = make_app(db, tmp_path)
        user, machine = make_models(db)

        class Visit(db.Model):
            name = db.Column(db.String(9), primary_key=True)

        make_tables(app, db, user(id=1, **IDS), Visit(name="first"))

        def make(*visits: str, end: Callable[[], None]) -> Flask:
            names = iter(visits)
            app.before_request(lambda: db.session.add(Visit(name=next(names))))

            @app.after_request
            def end_transaction(response: Response) -> Response:
                end()
                return response

            return mount(*make_stores(db.session, user, machine, transaction="host"), app)

        return make

    def test_it_commits(self, db: Any, make_host: Callable[..., Flask], tmp_path: Path) -> None:
        """The host's commit makes its rows and ours durable together; a refusal takes nothing of it away."""
        assert_binds_once(make_host("second", "third", end=db.session.commit))
        assert read(tmp_path / "default.db") == [(CODE, 1)]
        assert read(tmp_path / "default.db", VISITS) == [("first",), ("second",), ("third",)]

    def test_it_rolls_back(self, db: Any, make_host: Callable[..., Flask], tmp_path: Path) -> None:
        """A success that the host rolls back leaves nothing of either, and the code free."""
        app = make_host("second", "second", end=db.session.rollback)
        for _ in range(2):
            assert_answer(register(app), "10000", machine_code=CODE, user_id="110***********1234")
        assert read(tmp_path / "default.db") == []
        assert read(tmp_path / "default.db", VISITS) == [("first",)]

    def test_an_error_of_its_own(
        self,
        db: Any,
        make_host: Callable[..., Flask],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A row of the host's that breaks a key of the host's is 10005, and the log names that key."""
        assert_answer(register(make_host("first", end=db.session.rollback)), "10005")
        assert "UNIQUE constraint failed: visit.name" in caplog.text
        assert "parameters" not in caplog.text
        assert read(tmp_path / "default.db") == []


class TestSuitesThatRollEverythingBack:
    """A host's tests see the machine, and nothing is left of it."""

    @pytest.mark.skipif(VERSION < (3, 0), reason="Flask-SQLAlchemy 2 keeps its engines to itself")
    def test_a_connection_in_the_place_of_the_engine(self, db: Any, tmp_path: Path) -> None:
        """The stores join the transaction of a connection that ``db.engines`` has for the time of a test."""
        app = make_app(db, tmp_path)
        user, machine = make_models(db)
        make_tables(app, db, user(id=1, **IDS))
        mount(*make_stores(db.session, user, machine), app)
        with app.app_context():
            engines, engine = db.engines, db.engine
        with engine.connect() as connection:
            outer = connection.begin()
            engines[None] = connection
            assert_binds_once(app)
            assert codes(app, db, machine) == [CODE]
            outer.rollback()
        assert read(tmp_path / "default.db") == []

    def test_another_session_in_the_place_of_the_host_s(
        self, db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stores that ask ``db`` for its session each time follow a ``db.session`` that is exchanged."""
        app = make_app(db, tmp_path)
        user, machine = make_models(db)
        make_tables(app, db, user(id=1, **IDS))
        mount(*make_stores(lambda: db.session(), user, machine), app)
        with app.app_context():
            engine = db.engine
        with engine.connect() as connection:
            outer = connection.begin()
            monkeypatch.setattr(db, "session", orm.scoped_session(orm.sessionmaker(connection)))
            assert_binds_once(app)
            assert codes(app, db, machine) == [CODE]
            outer.rollback()
        assert read(tmp_path / "default.db") == []


def codes(app: Flask, db: Any, machine: Any) -> list[str]:
    """Return the codes that the host's own session sees in a context of its own."""
    with app.app_context():
        return list(db.session.execute(select(machine.machine_code)).scalars())
