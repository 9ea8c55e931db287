"""Every way to mount a blueprint that Flask has, and what mounting does not change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Blueprint, Flask, request, url_for
from flask_jwt_extended import JWTManager
from werkzeug.exceptions import TooManyRequests
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore
from tests.support.hostile_host import own_page, take_over_errors
from tests.support.hosts import FIRST, REGISTER_PATH, assert_answer, authorization, example, mount

ENDPOINT = "aegis_machines.register_machine_info_by_aegisspeed_id"


def blueprint(name: str = "aegis_machines") -> Blueprint:
    """Make a blueprint whose caller is always the first user."""
    return create_blueprint(
        users=MemoryUserStore([FIRST]),
        machines=MemoryMachineStore(),
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


class TestNothingElse:
    """What the blueprint does not change."""

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
