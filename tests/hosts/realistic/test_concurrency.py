"""Eight threads that bind at once: the limit of one user, and the pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from flask_aegis_machines import create_blueprint, ending_session, jwt_identity
from flask_aegis_machines.identity import Authenticate
from tests.servers import PostgresServer
from tests.support.realistic import Host, assert_limit_held, codes_of

from .app.machines import MACHINES_PER_USER, machine_store, user_store
from .app.models import db

THREADS = 8
POOL = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": THREADS, "max_overflow": 0, "pool_timeout": 1}}
WITHIN_LIMIT = Counter({"10000": MACHINES_PER_USER, "20001": THREADS - MACHINES_PER_USER})


@pytest.fixture
def host(postgres_url: str) -> Host:
    """The host on PostgreSQL, with a pool that has one connection for each thread."""
    return Host(postgres_url, POOL)


def test_eight_threads_stay_within_the_limit_of_one_user(host: Host, postgres: PostgresServer) -> None:
    """The lock on the user's row lets them bind one by one, and meets no lock of the foreign key."""
    owners = host.add_users(5)
    for name, owner in owners.items():
        token, start = host.token(owner), Barrier(THREADS)

        def bind(code: str, name: str = name, token: str = token, start: Barrier = start) -> str:
            start.wait(30)
            outcome: str = host.register(token, code, name).json["code"]
            return outcome

        with ThreadPoolExecutor(THREADS) as threads:
            assert Counter(threads.map(bind, codes_of(name, THREADS))) == WITHIN_LIMIT
    assert_limit_held(host, postgres, owners.values())


class TestPool:
    """A pool of eight connections for eight threads, each of which reads its user in ``db.session``."""

    @pytest.fixture
    def register_at_once(self, host: Host) -> Callable[..., Counter[str]]:
        """Register machines of eight users at once, with an ``authenticate``, a number for each.

        All threads meet where authentication has read the database.
        """
        start = Barrier(THREADS)

        def authenticate() -> object:
            identity = jwt_identity()
            start.wait(30)
            return identity

        def register_at_once(wrap: Callable[[Authenticate], Authenticate], number: int) -> Counter[str]:
            blueprint = create_blueprint(
                users=user_store, machines=machine_store, authenticate=wrap(authenticate), name="again"
            )
            host.app.register_blueprint(blueprint, url_prefix="/again")
            owners = host.add_users(THREADS)

            def register(name: str) -> list[str]:
                token = host.token(owners[name])
                responses = [
                    host.register(token, code, name, prefix="/again") for code in codes_of(name, number)
                ]
                return [response.json["code"] for response in responses]

            with ThreadPoolExecutor(THREADS) as threads:
                return Counter(code for codes in threads.map(register, owners) for code in codes)

        return register_at_once

    def test_a_session_that_is_ended_leaves_connections_for_the_stores(
        self, host: Host, register_at_once: Callable[..., Counter[str]]
    ) -> None:
        """Every request is answered with 10000."""
        outcomes = register_at_once(lambda authenticate: ending_session(authenticate, db.session), 5)
        assert outcomes == {"10000": THREADS * 5}
        assert len(host.codes()) == THREADS * 5

    @pytest.mark.clusters  # waits for the pool until the stores give up
    def test_an_open_session_locks_the_pool_up(self, register_at_once: Callable[..., Counter[str]]) -> None:
        """Each thread holds one connection and waits for another, until the stores of one give up."""
        assert register_at_once(lambda authenticate: authenticate, 1)["10005"] > 0
