"""What hidden blocks of the documentation's pages use to prove that the blocks which a reader sees work."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token

from flask_aegis_machines import create_blueprint
from flask_aegis_machines.testing import make_machine

__all__ = ["mount", "register", "token_of"]

_CODE = make_machine().machine_code


def mount(db: Any, *rows: Any, **options: Any) -> Flask:
    """Return an app with an SQLite file, rows in its tables, and the blueprint with these options."""
    app = Flask("host")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{Path.cwd() / uuid.uuid4().hex}.db"
    app.config["SECRET_KEY"] = app.config["JWT_SECRET_KEY"] = "x" * 32
    db.init_app(app)
    JWTManager(app)
    app.register_blueprint(create_blueprint(**options))
    with app.app_context():
        db.create_all()
        db.session.add_all(rows)
        db.session.commit()
    return app


def token_of(app: Flask, identity: str) -> dict[str, str]:
    """Return the header with a token for an identity."""
    with app.app_context():
        return {"Authorization": f"Bearer {create_access_token(identity)}"}


def register(app: Flask, headers: dict[str, str], code: str = _CODE, user: str = "ASD000001") -> Any:
    """Register a machine; return the code of the answer."""
    machine = {name: value for name, value in vars(make_machine(code)).items() if name != "registered_at"}
    path = "/machine/register/register_machine_info_by_aegisspeed_id"
    answer = app.test_client().post(path, headers=headers, json={"user_AegisSpeed_id": user, **machine})
    return answer.get_json()["code"]
