"""Many at once over the whole stack: the example on an SQLite file, in threads and in processes."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask_jwt_extended import create_access_token

import example_app
from example_app.models import Machine, db
from tests.support.hosts import REGISTER_PATH

SECRET = "a secret of the tests, of more than 32 bytes"
PROCESSES = 4
PATIENCE = 60  # seconds
_start: Any = None


def make_app(folder: Path) -> Flask:
    """Make the example in a folder; each process makes its own on the same file.

    Its threads and processes wait for the file longer than the defaults allow, which are for one request in
    a hurry: a loaded machine must not turn a wait into 10005.
    """
    config = {
        "JWT_SECRET_KEY": SECRET,
        "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": PATIENCE}},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SQLAlchemyUserStore", "SQLAlchemyMachineStore"):
            store = getattr(example_app, name)
            patch.setattr(example_app, name, partial(store, deadline=PATIENCE))
        return example_app.create_app(config, instance_path=str(folder))


def post(app: Flask, number: int, document: dict[str, Any]) -> tuple[str, int]:
    """Register the document's machine as one of the two users; return the code of the answer and the user."""
    user = number % 2 + 1
    with app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token(str(user))}"}
    sent = {**document, "user_AegisSpeed_id": f"ASD00000{user}"}
    answer = app.test_client().post(REGISTER_PATH, json=sent, headers=headers)
    assert answer.json is not None
    return answer.json["code"], user


def winner_of(answers: Sequence[tuple[str, int]]) -> int:
    """Assert that one answer is 10000 and every other 10004; return whom the 10000 was sent to."""
    assert Counter(code for code, _ in answers) == {"10000": 1, "10004": len(answers) - 1}
    return next(user for code, user in answers if code == "10000")


def assert_owners(app: Flask, expected: dict[str, int]) -> None:
    """Assert that the table has these machine codes, once each, with these owners."""
    with app.app_context():
        rows = db.session.execute(db.select(Machine.machine_code, Machine.user_id)).all()
        db.session.remove()
        db.engine.dispose()
    assert sorted(map(tuple, rows)) == sorted(expected.items())


def test_64_threads_that_send_one_code_have_one_winner(tmp_path: Path, document: dict[str, Any]) -> None:
    """One process, 64 threads, one code: one 10000, 63 times 10004, one row."""
    app = make_app(tmp_path)
    start = Barrier(64)

    def attempt(number: int) -> tuple[str, int]:
        start.wait(60)
        return post(app, number, document)

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(attempt, range(64)))
    assert_owners(app, {document["machine_code"]: winner_of(answers)})


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
def test_4_processes_give_each_code_one_owner(tmp_path: Path, document: dict[str, Any]) -> None:
    """Four processes start together and send the same 20 codes: who got the 10000 is the owner."""
    spawn = multiprocessing.get_context("spawn")
    documents = [{**document, "machine_code": f"{number:032}"} for number in range(1, 21)]
    with ProcessPoolExecutor(PROCESSES, spawn, _share, (spawn.Barrier(PROCESSES),)) as processes:
        runs = [
            processes.submit(_attempt_in_process, tmp_path, number, documents) for number in range(PROCESSES)
        ]
        answers = list(zip(*(run.result(60) for run in runs), strict=True))
    winners = {sent["machine_code"]: winner_of(each) for sent, each in zip(documents, answers, strict=True)}
    assert_owners(make_app(tmp_path), winners)
