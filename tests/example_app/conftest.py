"""The example app, started on a folder of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from flask import Flask
from werkzeug.security import generate_password_hash

from example_app import first_run
from tests.support.browser import Visit, chromium, visits
from tests.support.example import Apps
from tests.support.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_hash = lru_cache(generate_password_hash)


@pytest.fixture(autouse=True)
def _clean_environment() -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "WERKZEUG_"))}
    with mock.patch.dict(os.environ, kept, clear=True):
        yield


@pytest.fixture(autouse=True)
def _hash_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash the one password of the demo users once: each app has two of them, and a hash takes long."""
    monkeypatch.setattr(first_run, "generate_password_hash", _hash)


@pytest.fixture
def apps(tmp_path: Path) -> Iterator[Apps]:
    """Return a starter of apps whose instance folder does not exist yet."""
    starter = Apps(tmp_path / "made" / "instance")
    yield starter
    starter.close()


@pytest.fixture
def app(apps: Apps) -> Flask:
    """Return a fresh example app, also for the fixtures of pytest-flask."""
    return apps.start()


@pytest.fixture
def example(apps: Apps) -> Flask:
    """Return a fresh example app, without a pushed context."""
    return apps.start()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for a module: each visitor has a profile of their own."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, example: Flask) -> Iterator[Visit]:
    """Open pages of a fresh example app."""
    with served(example) as url, visits(browser, url) as visit:
        yield visit
