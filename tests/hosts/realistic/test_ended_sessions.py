"""The server ends sessions while two workers of four threads bind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event, Thread

import pytest

from tests.faults.serving import Client
from tests.servers import Gunicorn, PostgresServer
from tests.support.hosts import REGISTER_PATH
from tests.support.realistic import SECRET, Host, assert_limit_held, codes_of, document_of

from .app.machines import MACHINES_PER_USER

THREADS = 8
WITHIN_LIMIT = Counter({"10000": MACHINES_PER_USER, "20001": THREADS - MACHINES_PER_USER})


@pytest.fixture
def host(postgres_url: str) -> Host:
    """The host on PostgreSQL."""
    return Host(postgres_url)


@contextmanager
def ending_sessions(postgres: PostgresServer) -> Iterator[list[int]]:
    """End all sessions of the server again and again; yield how many each time."""
    ended: list[int] = []
    stop = Event()

    def end_sessions() -> None:
        while not stop.wait(0.3):
            ended.append(postgres.terminate_backends())

    thread = Thread(target=end_sessions)
    thread.start()
    try:
        yield ended
    finally:
        stop.set()
        thread.join()


@pytest.mark.clusters
def test_no_binding_is_lost_when_the_server_ends_sessions(host: Host, postgres: PostgresServer) -> None:
    """Two workers of four threads bind for one user after the other, and clients repeat what failed."""
    owners = host.add_users(40)
    environment = {"FLASK_SQLALCHEMY_DATABASE_URI": host.url, "FLASK_JWT_SECRET_KEY": SECRET}
    options = ["--preload", "--workers=2", "--threads=4"]
    final = set(WITHIN_LIMIT)
    outcomes: Counter[str] = Counter()
    with (
        Gunicorn("tests.hosts.realistic.app:create_app()", *options, environment=environment) as server,
        ending_sessions(postgres) as ended,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        for name, owner in owners.items():
            token = host.token(owner)

            def bind(code: str, name: str = name, token: str = token) -> list[str]:
                body, answers = document_of(name, code), []
                with closing(Client(server.port)) as client:
                    while not final.intersection(answers) and len(answers) < 20:
                        answers.append(client.post(REGISTER_PATH, body, token)["code"])
                return answers

            for answers in threads.map(bind, codes_of(name, THREADS)):
                outcomes.update(answers)
    print(f"\n{sum(ended)} sessions ended in {len(ended)} rounds: {dict(outcomes)}")
    assert sum(ended) > 0
    # A 10004 would show that a failed request had bound its machine, and a 10005 that the stores had not
    # tried again. Where authentication fails, the app answers, and nothing was bound.
    host_failed = "500 application/problem+json"
    assert outcomes.keys() <= {*final, host_failed}
    assert {code: outcomes[code] for code in final} == {
        code: number * len(owners) for code, number in WITHIN_LIMIT.items()
    }
    assert_limit_held(host, postgres, owners.values())
