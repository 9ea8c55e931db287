"""A host that does everything to get in the way: our answers stay ours, and its pages stay its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from flask import Blueprint, Flask, Response, abort, request, session, url_for
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.testing import FlaskClient
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from werkzeug.exceptions import HTTPException, TooManyRequests
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from flask_aegis_machines import create_blueprint
from flask_aegis_machines._endpoints import REGISTER
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from flask_aegis_machines.stores.sqlalchemy import (
    AccountMixin,
    MachineMixin,
    SQLAlchemyMachineStore,
    SQLAlchemyUserStore,
)
from tests.servers import require_module
from tests.support.hosts import FIRST, REGISTER_PATH, SECOND, assert_answer, authorization, example, mount

if TYPE_CHECKING:
    from flask_limiter import Limiter
    from flask_wtf import CSRFProtect

Register = Callable[..., TestResponse]

ENDPOINT = "aegis_machines.register_machine_info_by_aegisspeed_id"
CODES = [answer.code for answer in REGISTER.answers]
STATUSES = sorted({answer.status for answer in REGISTER.answers if answer.status >= 400} | {405})
MODES = [
    None,
    *("TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS", "TRAP_HTTP_EXCEPTIONS", "TRAP_BAD_REQUEST_ERRORS"),
]

# What makes of the documented example a request that gets the code; the others need more than a request.
CHANGES: dict[str, dict[str, Any]] = {
    "10002": {"user_AegisSpeed_id": "short"},
    "10006": {"user_AegisSpeed_id": SECOND.aegisspeed_id},
    "10400": {"machine_cpu": "\n"},
    "10401": {"headers": {}},
    "10413": {"json": {"machine_cpu": "x" * 17000}},
    "10415": {"data": b"{}", "content_type": "text/plain"},
    "10429": {"headers": {"X-Over-Limit": "yes"}},
}
DATA: dict[str, dict[str, object]] = {
    "10000": {"machine_code": "abcd1234efgh5678ijkl9012mnop3456", "user_id": "110***********1234"},
    "10400": {"errors": {"machine_cpu": ["must be at most 255 characters, without control characters"]}},
}

FAST = "PRAGMA synchronous=OFF"

db = SQLAlchemy()


class User(AccountMixin, db.Model):
    """A user of the host."""

    id = db.Column(db.Integer, primary_key=True)


class Machine(MachineMixin, db.Model):
    """A machine of a user."""

    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.ForeignKey("user.id"), nullable=False)


class Visit(db.Model):
    """What the host's hooks write at each request."""

    id = db.Column(db.Integer, primary_key=True)
    path = db.Column(db.String(255), nullable=False)


def own_page(error: Exception) -> tuple[str, int]:
    """Show the page that the host has for every error."""
    status = getattr(error, "code", 500)
    return f"<h1>Our own {status}</h1>", status


def own_error(status: int) -> NoReturn:
    """Fail as a page of the host's does."""
    if status == 500:
        raise LookupError("a page of the host's broke")
    abort(status)


def take_over_errors(scaffold: Flask | Blueprint) -> None:
    """Give an app or a blueprint a handler for whatever may happen."""
    for kind in (*STATUSES, HTTPException, Exception):
        scaffold.register_error_handler(kind, own_page)


def add_hooks(app: Flask) -> None:
    """Read and write the browser's session and the database's around every request."""

    @app.before_request
    def arrive() -> None:
        session["visits"] = session.get("visits", 0) + 1
        with db.session.no_autoflush:  # on SQLite a flushed row would lock the file
            assert db.session.query(User).count() == 2
        db.session.add(Visit(path=request.path))

    @app.before_request
    def limit() -> None:
        if "X-Over-Limit" in request.headers:
            raise TooManyRequests(retry_after=7)

    @app.after_request
    def leave(response: Response) -> Response:
        response.headers["X-Host"] = f"visit {session['visits']}, {len(db.session.new)} pending"
        db.session.commit()
        return response

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        db.session.add(Visit(path="left"))
        db.session.commit()


@pytest.fixture
def app(tmp_path: Any) -> Iterator[Flask]:
    """The hostile host, with the documented stores on its own database."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="the key of the host's sessions",
        JWT_SECRET_KEY="a secret of the tests, of more than 32 bytes",
        MAX_CONTENT_LENGTH=32 * 1024,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'host.db'}",
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
    )
    db.init_app(app)
    JWTManager(app)
    take_over_errors(app)
    add_hooks(app)
    app.add_url_rule("/own/<int:status>", view_func=own_error)
    users = SQLAlchemyUserStore(
        db.session, User, identity="id", aegisspeed_id="aegisspeed_id", id_number="id_number"
    )
    machines = SQLAlchemyMachineStore(db.session, Machine)
    app.register_blueprint(create_blueprint(users=users, machines=machines))
    with app.app_context():
        # No test here cuts the power, and waiting for the disk is most of their time.
        event.listen(db.engine, "connect", lambda connection, record: connection.execute(FAST))
        db.create_all()
        for user in (FIRST, SECOND):
            db.session.add(User(id=user.key, aegisspeed_id=user.aegisspeed_id, id_number=user.id_number))
        db.session.commit()
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def provoke(app: Flask, register: Register, code: str) -> TestResponse:
    """Get the answer that has this code."""
    if code == "10001":
        app.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
    if code == "10003":
        return register(headers=authorization(app, "3"))
    if code == "10004":
        register()
    if code == "10005":
        Machine.__table__.drop(db.engine)
    return register(**CHANGES.get(code, {}))


def assert_own_page(answer: TestResponse, status: int) -> None:
    """Assert that the host answered, with its page for this status."""
    assert (answer.status_code, answer.text) == (status, f"<h1>Our own {status}</h1>")
    assert answer.mimetype == "text/html"


class TestHandlersAndHooks:
    """Error handlers for everything, hooks around everything."""

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("code", CODES)
    def test_every_answer_keeps_its_envelope(
        self, app: Flask, register: Register, code: str, mode: str | None
    ) -> None:
        """No handler and no way of running the app changes an answer, and the host's rows stay pending."""
        if mode is not None:
            app.config[mode] = True
        answer = provoke(app, register, code)
        assert_answer(answer, code, **DATA.get(code, {}))
        assert answer.headers["X-Host"] == f"visit {2 if code == '10004' else 1}, 1 pending"
        assert answer.headers.get("Retry-After") == ("7" if code == "10429" else None)

    @pytest.mark.parametrize("mode", MODES)
    def test_every_page_of_the_host_stays_its_own(
        self, app: Flask, client: FlaskClient, mode: str | None
    ) -> None:
        """Its own errors, and a wrong URL or method on our paths, show its own pages."""
        if mode is not None:
            app.config[mode] = True
        for status in STATUSES:
            assert_own_page(client.get(f"/own/{status}"), status)
        assert_own_page(client.get(REGISTER_PATH), 405)
        assert_own_page(client.post(REGISTER_PATH.rpartition("/")[0]), 404)

    @pytest.mark.parametrize("read", ["get_json", "get_data"])
    @pytest.mark.parametrize("code", CODES)
    def test_a_body_that_a_hook_has_read_is_answered_alike(
        self, app: Flask, register: Register, code: str, read: str
    ) -> None:
        """Whatever the host looks at first, each answer is the same."""
        how = {"silent": True} if read == "get_json" else {}
        app.before_request(lambda: getattr(request, read)(**how) and None)
        assert_answer(provoke(app, register, code), code, **DATA.get(code, {}))

    def test_a_small_limit_of_the_host_is_our_413(
        self, app: Flask, client: FlaskClient, register: Register
    ) -> None:
        """MAX_CONTENT_LENGTH is answered in the envelope on our path, and by the host's page on its own."""

        @app.post("/upload")
        def upload() -> bytes:
            return request.get_data()

        app.config["MAX_CONTENT_LENGTH"] = 100
        assert_answer(register(), "10413")
        assert_own_page(client.post("/upload", data=b"x" * 101), 413)

    def test_the_host_s_sessions_go_on(self, app: Flask, token: str) -> None:
        """Cookies count on from request to request, and every row of the hooks is stored once."""
        client = app.test_client()
        headers = {"Authorization": f"Bearer {token}"}
        answers = [client.post(REGISTER_PATH, json=example(), headers=headers) for _ in range(3)]
        assert [answer.json["code"] for answer in answers] == ["10000", "10004", "10004"]
        visits = [answer.headers["X-Host"] for answer in answers]
        assert visits == [f"visit {number}, 1 pending" for number in (1, 2, 3)]
        with app.app_context():
            paths = Counter(path for (path,) in db.session.query(Visit.path))
        assert paths == {REGISTER_PATH: 3, "left": 3}

    def test_a_handler_by_class_is_no_stronger_than_one_by_code(
        self, app: Flask, client: FlaskClient, register: Register
    ) -> None:
        """The host's handler for a limiter's own class wins on its pages, and on our path ours does."""

        class Throttled(TooManyRequests):
            pass

        @app.before_request
        def limit() -> NoReturn:
            raise Throttled

        app.register_error_handler(Throttled, lambda error: ("by class", 429))
        assert_answer(register(), "10429")
        assert client.get("/own/404").text == "by class"

    def test_no_context_need_be_pushed(self, app: Flask, register: Register) -> None:
        """A request in a bare thread is answered like those within the context that pytest-flask pushes."""
        headers = authorization(app, "1")
        with ThreadPoolExecutor(1) as thread:
            bare = thread.submit(app.test_client().post, REGISTER_PATH, json=example(), headers=headers)
            bound = {"machine_code": example()["machine_code"], "user_id": DATA["10000"]["user_id"]}
            assert_answer(bare.result(), "10000", **bound)
        assert_answer(register(machine_code=example()["machine_code"]), "10004")

    def test_rows_of_a_pushed_context_stay_pending(self, register: Register) -> None:
        """What a test added to the session that it shares with the request is not flushed by ours."""
        db.session.add(Visit(path="test"))
        answer = register()
        assert_answer(answer, "10000", **DATA["10000"])
        assert answer.headers["X-Host"] == "visit 1, 2 pending"


class TestCsrf:
    """Flask-WTF checks every POST of the app."""

    @pytest.fixture
    def csrf(self, app: Flask) -> CSRFProtect:
        require_module("flask_wtf", "Flask-WTF")
        from flask_wtf import CSRFProtect

        return CSRFProtect(app)

    def test_without_an_exemption_the_host_answers(self, csrf: CSRFProtect, register: Register) -> None:
        """The check comes before the view, so its refusal is the host's page."""
        assert_own_page(register(), 400)

    @pytest.mark.parametrize("kind", ["blueprint", "view", "name"])
    def test_an_exemption_leads_to_our_answers(
        self, app: Flask, csrf: CSRFProtect, client: FlaskClient, register: Register, kind: str
    ) -> None:
        """Each way to exempt that Flask-WTF knows reaches us, and nothing else."""
        view = app.view_functions[ENDPOINT]
        name = "flask_aegis_machines.blueprint.register_machine_info_by_aegisspeed_id"
        csrf.exempt({"blueprint": app.blueprints["aegis_machines"], "view": view, "name": name}[kind])
        app.add_url_rule("/form", view_func=lambda: "sent", methods=["POST"])
        assert_answer(register(), "10000", **DATA["10000"])
        assert_answer(register(headers={}), "10401")
        assert_own_page(client.post("/form"), 400)


class TestLimiter:
    """Flask-Limiter counts the requests, in a window that moves so that no minute ends within a test."""

    @pytest.fixture
    def make_limiter(self, app: Flask) -> Callable[..., Limiter]:
        require_module("flask_limiter", "Flask-Limiter")
        from flask_limiter import Limiter
        from flask_limiter.util import get_remote_address

        def make(**options: Any) -> Limiter:
            where = {"storage_uri": "memory://", "strategy": "moving-window"}
            return Limiter(get_remote_address, app=app, headers_enabled=True, **where, **options)

        return make

    @staticmethod
    def assert_limited(answer: TestResponse) -> None:
        """Assert that the limiter's headers are there, each once."""
        assert answer.headers.getlist("X-RateLimit-Limit") == ["2"]
        assert answer.headers.getlist("X-RateLimit-Remaining") == ["0"]
        (retry_after,) = answer.headers.getlist("Retry-After")
        assert 0 < int(retry_after) <= 60
        assert "X-RateLimit-Reset" in answer.headers

    def test_a_limit_on_the_blueprint_is_10429(
        self, app: Flask, make_limiter: Callable[..., Limiter], client: FlaskClient, register: Register
    ) -> None:
        """The third request gets our envelope with the limiter's headers, and the host's page its own 429."""
        limiter = make_limiter()
        limiter.limit("2/minute")(app.blueprints["aegis_machines"])
        app.add_url_rule("/page", view_func=limiter.limit("2/minute")(lambda: "page"), endpoint="page")
        assert_answer(register(), "10000", **DATA["10000"])
        assert_answer(register(), "10004")
        limited = register()
        assert_answer(limited, "10429")
        self.assert_limited(limited)
        assert [client.get("/page").text for _ in range(2)] == ["page", "page"]
        theirs = client.get("/page")
        assert_own_page(theirs, 429)
        self.assert_limited(theirs)

    def test_a_limit_for_the_whole_app_is_10429_on_our_path(
        self, make_limiter: Callable[..., Limiter], client: FlaskClient, register: Register
    ) -> None:
        """``default_limits`` count on our path too, and answer there in our envelope."""
        make_limiter(default_limits=["2/minute"])
        assert [register().status_code, register().status_code] == [200, 409]
        limited = register()
        assert_answer(limited, "10429")
        self.assert_limited(limited)
        for status in (404, 404, 429):
            assert_own_page(client.get("/own/404"), status)


def blueprint(machines: MemoryMachineStore | None = None, name: str = "aegis_machines") -> Blueprint:
    """Make a blueprint whose caller is always the first user."""
    return create_blueprint(
        users=MemoryUserStore([FIRST]),
        machines=machines or MemoryMachineStore(),
        authenticate=lambda: 1,
        name=name,
    )


def post(app: Flask, path: str = REGISTER_PATH, base_url: str | None = None) -> str:
    """Register the example; return the code of the answer, or the text of what is no answer of ours."""
    answer = app.test_client().post(path, json=example(), base_url=base_url)
    return answer.json["code"] if answer.is_json else answer.text


class TestMounting:
    """Every way to mount a blueprint that Flask has."""

    def test_nested_twice_among_handlers_of_the_parents(self) -> None:
        """Handlers of the blueprints around ours do not touch its answers, and prefixes add up."""
        inner, outer = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("inner", "outer"))

        @outer.before_request
        def limit() -> None:
            if "X-Over-Limit" in request.headers:
                raise TooManyRequests

        for parent in (inner, outer):
            take_over_errors(parent)
        inner.register_blueprint(blueprint(), url_prefix="/ours")
        outer.register_blueprint(inner)
        app = Flask("host")
        app.register_blueprint(outer)
        path = "/outer/inner/ours" + REGISTER_PATH
        assert [post(app, path), post(app, path)] == ["10000", "10004"]
        limited = app.test_client().post(path, headers={"X-Over-Limit": "yes"})
        assert_answer(limited, "10429")

    def test_two_names_have_two_stores(self) -> None:
        """A code that is bound in the one mount is free in the other."""
        app = Flask("host")
        for name in ("first", "second"):
            app.register_blueprint(blueprint(name=name), url_prefix=f"/{name}")
        paths = [f"/{name}{REGISTER_PATH}" for name in ("first", "first", "second", "second")]
        assert [post(app, path) for path in paths] == ["10000", "10004", "10000", "10004"]

    def test_one_blueprint_in_two_apps_has_one_store(self) -> None:
        """The same object may be mounted twice; its stores go with it."""
        shared = blueprint()
        first, second = Flask("first"), Flask("second")
        for app in (first, second):
            app.register_blueprint(shared)
        assert [post(first), post(second)] == ["10000", "10004"]

    def test_two_apps_at_once_keep_to_their_own_config(self) -> None:
        """Threads that ask an open and a closed app, each with a key of its own, never get the other's."""
        apps = []
        for number in range(2):
            app = Flask(f"app {number}")
            app.config["JWT_SECRET_KEY"] = f"the secret of app {number}, of more than 32 bytes"
            JWTManager(app)
            stores = {"users": MemoryUserStore([FIRST]), "machines": MemoryMachineStore()}
            app.register_blueprint(create_blueprint(**stores))
            apps.append(app)
        first, second = apps
        tokens = [authorization(app, "1") for app in apps]
        second.config["AEGIS_MACHINES_REPEAT_BY_OWNER"] = True
        closed = Flask("closed")
        closed.config["AEGIS_MACHINES_REGISTER_OPEN"] = False
        closed.register_blueprint(blueprint())
        for app, headers in zip(apps, tokens, strict=True):
            app.test_client().post(REGISTER_PATH, json=example(), headers=headers)
        cases = [
            (first, tokens[0], "10004"),
            (first, tokens[1], "10401"),
            (second, tokens[1], "10000"),
            (second, tokens[0], "10401"),
            (closed, tokens[0], "10001"),
        ] * 8
        start = Barrier(len(cases))

        def ask(case: tuple[Flask, dict[str, str], str]) -> str:
            app, headers, _ = case
            start.wait(30)
            answers = [
                app.test_client().post(REGISTER_PATH, json=example(), headers=headers) for _ in range(3)
            ]
            (code,) = {answer.json["code"] for answer in answers}
            return code

        with ThreadPoolExecutor(len(cases)) as threads:
            assert list(threads.map(ask, cases)) == [code for _, _, code in cases]

    def test_loose_slashes(self) -> None:
        """A host that is lax about the slash at the end is so on our path too."""
        app = Flask("host")
        app.url_map.strict_slashes = False
        app.register_blueprint(blueprint())
        assert [post(app), post(app, REGISTER_PATH + "/")] == ["10000", "10004"]

    def test_a_subdomain(self) -> None:
        """Mounted under a subdomain it answers there, and the host elsewhere."""
        app = Flask("host", subdomain_matching=True)
        app.config["SERVER_NAME"] = "example.test"
        app.register_error_handler(404, own_page)
        app.register_blueprint(blueprint(), subdomain="api")
        assert post(app, base_url="http://api.example.test") == "10000"
        assert post(app, base_url="http://example.test") == "<h1>Our own 404</h1>"

    def test_a_host_that_matches_hosts(self) -> None:
        """Flask gives the rules of a blueprint no host; one more rule for the same endpoint does."""
        app = Flask("host", host_matching=True, static_folder=None)
        app.register_blueprint(blueprint())
        app.add_url_rule(REGISTER_PATH, endpoint=ENDPOINT, methods=["POST"], host="api.example.test")
        assert post(app, base_url="http://api.example.test") == "10000"

    def test_an_application_root(self) -> None:
        """The app may live below a path of its server's, whether or not it knows that."""
        app = Flask("host")
        app.config["APPLICATION_ROOT"] = "/root"
        app.register_blueprint(blueprint())
        assert post(app) == "10000"
        below = Client(DispatcherMiddleware(Flask("front"), {"/root": app}))
        assert_answer(below.post("/root" + REGISTER_PATH, json=example()), "10004")

    def test_url_processors_of_the_host(self) -> None:
        """A host that takes the language out of every URL, and puts it into every URL, does so for ours."""
        app = Flask("host")
        languages = []
        app.url_value_preprocessor(lambda endpoint, values: languages.append(values.pop("language")))
        app.url_defaults(lambda endpoint, values: values.setdefault("language", "zh"))
        app.register_blueprint(blueprint(), url_prefix="/<language>")
        with app.test_request_context():
            assert url_for(ENDPOINT) == "/zh" + REGISTER_PATH
        assert post(app, "/en" + REGISTER_PATH) == "10000"
        assert languages[-1:] == ["en"]

    @pytest.mark.parametrize("ours_first", [True, False])
    def test_a_blueprint_of_the_host_s_under_the_same_path(self, ours_first: bool) -> None:
        """The host's own ``machine`` keeps every URL under /machine but the documented one."""
        theirs = Blueprint("machine", __name__, url_prefix="/machine")
        theirs.add_url_rule("/<path:rest>", view_func=lambda rest: "theirs", methods=["GET", "POST"])
        app = Flask("host")
        for each in (blueprint(), theirs) if ours_first else (theirs, blueprint()):
            app.register_blueprint(each)
        assert post(app) == "10000"
        assert post(app, "/machine/register") == "theirs"
        assert app.test_client().get(REGISTER_PATH).text == "theirs"


class TestJson:
    """Hosts that replace the JSON provider."""

    def test_orjson(self) -> None:
        """Answers that orjson writes have the same content."""
        require_module("orjson", "orjson")
        import orjson

        class Orjson(JSONProvider):
            def dumps(self, obj: Any, **options: Any) -> str:
                return orjson.dumps(obj).decode()

            def loads(self, s: str | bytes, **options: Any) -> Any:
                return orjson.loads(s)

        app = mount(MemoryMachineStore())
        app.json = Orjson(app)
        client = app.test_client()
        bound = {"machine_code": example()["machine_code"], "user_id": "110***********1234"}
        assert_answer(client.post(REGISTER_PATH, json=example()), "10000", **bound)
        assert_answer(client.post(REGISTER_PATH, json=example()), "10004")

    def test_strings_that_look_like_dates(self) -> None:
        """A provider that makes datetimes of strings does not get at what is stored."""

        class Dated(DefaultJSONProvider):
            def loads(self, s: str | bytes, **options: Any) -> Any:
                return {
                    name: datetime.fromisoformat(value) if value[:2] == "20" else value
                    for name, value in json.loads(s).items()
                }

        machines = MemoryMachineStore()
        app = mount(machines)
        app.json = Dated(app)
        dated = {**example(), "machine_os_version": "2026-01-01T00:00:00"}
        assert isinstance(app.json.loads(json.dumps(dated))["machine_os_version"], datetime)
        answer = app.test_client().post(
            REGISTER_PATH, data=json.dumps(dated), content_type="application/json"
        )
        assert json.loads(answer.data)["code"] == "10000"
        (stored,) = machines.list_for(FIRST)
        assert stored.machine_os_version == "2026-01-01T00:00:00"


class TestNothingElse:
    """What the blueprint leaves alone."""

    def test_no_session_is_touched(self) -> None:
        """A host without a secret key is served, and no answer sets a cookie or varies by one."""
        app = mount(MemoryMachineStore())
        assert app.secret_key is None
        answers = [app.test_client().post(REGISTER_PATH, json=example()) for _ in range(2)]
        assert [answer.json["code"] for answer in answers] == ["10000", "10004"]
        for answer in answers:
            assert {"Set-Cookie", "Vary"}.isdisjoint(answer.headers.keys())

    def test_an_existing_session_is_not_opened(self) -> None:
        """Where the host has sessions, ours neither refreshes one nor makes the answer vary by it."""
        app = mount(MemoryMachineStore())
        app.secret_key = "the key of the host's sessions"
        client = app.test_client()
        with client.session_transaction() as theirs:
            theirs["user"] = 1
        answer = client.post(REGISTER_PATH, json=example())
        assert {"Set-Cookie", "Vary"}.isdisjoint(answer.headers.keys())

    def test_nothing_is_added_to_the_app_as_a_whole(self) -> None:
        """Mounting, and answering, leave every hook, handler, key and global of the app as it was."""
        host = Flask("host")
        host.config["JWT_SECRET_KEY"] = "a secret of the tests, of more than 32 bytes"
        JWTManager(host)
        take_over_errors(host)
        before = app_wide(host)
        host.register_blueprint(blueprint())
        assert app_wide(host) == before
        assert post(host) == "10000"
        assert app_wide(host) == before


def app_wide(app: Flask) -> dict[str, object]:
    """Return a copy of what an app holds for all of its requests."""
    handlers = {code: dict(by_class) for code, by_class in app.error_handler_spec[None].items()}
    hooks = (
        *("before_request_funcs", "after_request_funcs", "teardown_request_funcs"),
        *("template_context_processors", "url_value_preprocessors", "url_default_functions"),
    )
    of_app = ("teardown_appcontext_funcs", "shell_context_processors", "url_build_error_handlers")
    of_templates = ("globals", "filters", "tests")
    return {
        "handlers": handlers,
        **{name: list(getattr(app, name).get(None, ())) for name in hooks},
        **{name: list(getattr(app, name)) for name in of_app},
        **{name: dict(getattr(app.jinja_env, name)) for name in of_templates},
        "extensions": dict(app.extensions),
        "config": dict(app.config),
    }
