"""An app that keeps everything in one process, for what web servers do to a request."""

from __future__ import annotations

from flask import Flask, request

from flask_aegis_machines import Unauthorized
from flask_aegis_machines.stores.memory import MemoryMachineStore
from tests.support.hosts import mount


def create_app() -> Flask:
    """Build the app; the token is the user's key."""

    def authenticate() -> str:
        token = request.headers.get("Authorization", "")
        if token not in ("Bearer 1", "Bearer 2"):
            raise Unauthorized
        return token[-1]

    return mount(MemoryMachineStore(), authenticate)
