"""Many at once over the whole stack: the example on an SQLite file, in threads and in processes."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import create_access_token

from example_app import create_app
from example_app.models import Machine, db
from tests.support.hosts import REGISTER_PATH

SECRET = "a secret of the tests, of more than 32 bytes"
PROCESSES = 4
_start: Any = None


def make_app(folder: Path) -> Flask:
    """Make the example in a folder; each process makes its own on the same file."""
    return create_app({"JWT_SECRET_KEY": SECRET}, instance_path=str(folder))


def post(app: Flask, number: int, document: dict[str, Any]) -> tuple[str, int]:
    """Register the document's machine as one of the two users; return the code of the answer and the user."""
    user = number % 2 + 1
    with app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token(str(user))}"}
    sent = {**document, "user_AegisSpeed_id": f"ASD00000{user}"}
    answer = app.test_client().post(REGISTER_PATH, json=sent, headers=headers)
    assert answer.json is not None
    return answer.json["code"], user


def owners(app: Flask) -> list[int]:
    """Return who owns the machines in the table."""
    with app.app_context():
        return list(db.session.scalars(db.select(Machine.user_id)))


def assert_one_owner(app: Flask, answers: list[tuple[str, int]]) -> None:
    """Assert that one answer is "yes", every other 10004, and the table agrees."""
    assert Counter(code for code, _ in answers) == {"10000": 1, "10004": len(answers) - 1}
    assert owners(app) == [user for code, user in answers if code == "10000"]
    with app.app_context():
        db.engine.dispose()


def test_64_threads_that_send_one_code_have_one_winner(tmp_path: Path, document: dict[str, Any]) -> None:
    """One process, 64 threads, one code: one 10000, 63 times 10004, one row."""
    app = make_app(tmp_path)
    start = Barrier(64)

    def attempt(number: int) -> tuple[str, int]:
        start.wait()
        return post(app, number, document)

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(attempt, range(64)))
    assert_one_owner(app, answers)


def _share(start: Any) -> None:
    global _start
    _start = start


def _attempt_in_process(folder: Path, number: int, documents: list[dict[str, Any]]) -> list[tuple[str, int]]:
    app = make_app(folder)
    _start.wait(60)
    answers = [post(app, number, document) for document in documents]
    with app.app_context():
        db.engine.dispose()
    return answers


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_4_processes_that_send_one_code_have_one_winner(tmp_path: Path, document: dict[str, Any]) -> None:
    """Four processes race for the same codes, one after the other: each code gets one owner."""
    spawn = multiprocessing.get_context("spawn")
    documents = [{**document, "machine_code": f"{number:032}"} for number in range(1, 21)]
    with ProcessPoolExecutor(PROCESSES, spawn, _share, (spawn.Barrier(PROCESSES),)) as processes:
        runs = [
            processes.submit(_attempt_in_process, tmp_path, number, documents) for number in range(PROCESSES)
        ]
        answers = list(zip(*(run.result(60) for run in runs), strict=True))
    app = make_app(tmp_path)
    assert [Counter(code for code, _ in each) for each in answers] == [{"10000": 1, "10004": 3}] * 20
    winners = [next(user for code, user in each if code == "10000") for each in answers]
    assert sorted(owners(app)) == sorted(winners)
    with app.app_context():
        db.engine.dispose()
