"""The machine endpoints in an app with tenants, deactivated users, a limit, an audit and a blocklist."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import delete, select
from werkzeug.security import generate_password_hash

from flask_aegis_machines import UserNotFound
from flask_aegis_machines._endpoint_definitions import GET, REGISTER, VERIFY
from flask_aegis_machines.testing import make_machine
from tests.support.conforming import HANDLES_ERRORS
from tests.support.hosts import assert_answer
from tests.support.realistic import CODES, Host

from .app.machines import MACHINES_PER_USER, machine_store
from .app.models import RevokedToken, User, db


def organisation_of(host: Host, key: uuid.UUID) -> uuid.UUID:
    """Return the organisation of a user."""
    with host.app.app_context():
        return db.session.execute(select(User.organisation_id).where(User.id == key)).scalar_one()


def test_a_user_signs_in_binds_and_signs_out(host: Host) -> None:
    """From the password to the list of machines; a token that was signed out binds nothing."""
    owner = host.add_user(password_hash=generate_password_hash("correct", "pbkdf2:sha256:1"))
    credentials = {"email": "ASD000001@example.org", "password": "correct"}
    token = host.client.post("/login", data=credentials).json["access_token"]
    assert_answer(host.register(token), "10000", machine_code=CODES[0], user_id="110***********1234")
    mine = {"user_AegisSpeed_id": "ASD000001"}
    assert host.post(VERIFY.path, token, **mine, machine_code=CODES[0]).json["code"] == "10002"
    (machine,) = host.post(GET.path, token, **mine).json["data"]["machines"]
    assert machine["machine_code"] == CODES[0]
    assert host.post("/logout", token).status_code == 204
    assert_answer(host.register(token, CODES[1]), "10401")
    assert host.machines() == [(CODES[0], owner, organisation_of(host, owner))]
    with host.app.app_context():
        assert db.session.scalars(select(RevokedToken.organisation_id)).one() == organisation_of(host, owner)


def test_each_machine_has_its_tenant_and_its_audit_entry(host: Host, owner: uuid.UUID) -> None:
    """``values=`` fills the tenant's column, and ``within=`` adds a row, which is the same tenant's."""
    other = host.add_user("ASD000002")
    assert host.register(host.token(owner), CODES[0]).json["code"] == "10000"
    assert host.register(host.token(other), CODES[1], "ASD000002").json["code"] == "10000"
    assert host.machines() == [
        (CODES[0], owner, organisation_of(host, owner)),
        (CODES[1], other, organisation_of(host, other)),
    ]
    assert host.audit() == host.machines()
    assert organisation_of(host, owner) != organisation_of(host, other)


def test_a_taken_code_leaves_no_audit_entry(host: Host, owner: uuid.UUID) -> None:
    """Neither another user nor the owner gets a second row for one code."""
    other = host.add_user("ASD000002")
    host.register(host.token(owner))
    assert_answer(host.register(host.token(other), aegisspeed_id="ASD000002"), "10004")
    assert_answer(host.register(host.token(owner)), "10004")
    assert host.codes() == [CODES[0]]


def test_a_machine_over_the_limit_is_refused(host: Host, owner: uuid.UUID) -> None:
    """The client gets the answer of the host's refusal, and nothing of the binding is left."""
    token = host.token(owner)
    bound = [host.register(token, code).json["code"] for code in CODES[:MACHINES_PER_USER]]
    assert bound == ["10000"] * MACHINES_PER_USER
    response = host.register(token, CODES[MACHINES_PER_USER])
    assert (response.status_code, response.json) == (
        403,
        {"status": 403, "code": "20001", "result": "Machine limit reached", "data": {}},
    )
    assert host.codes() == CODES[:MACHINES_PER_USER]
    other = host.add_user("ASD000002")
    assert host.register(host.token(other), CODES[MACHINES_PER_USER], "ASD000002").json["code"] == "10000"


def test_the_openapi_document_has_the_refusal(host: Host) -> None:
    """Clients that are generated from the document know its code."""
    result = host.app.test_cli_runner().invoke(args=["aegis-machines", "openapi"])
    assert '"20001"' in result.output


def test_a_deactivated_user_binds_nothing(host: Host, owner: uuid.UUID) -> None:
    """``where=`` makes the user unknown to the endpoints, though the token is good."""
    host.change_user(owner, is_active=False)
    assert_answer(host.register(host.token(owner)), "10003")
    assert host.codes() == []


def test_a_user_deactivated_after_the_look_up_binds_nothing(host: Host, owner: uuid.UUID) -> None:
    """The hook looks again, with the user's row locked, and its refusal leaves nothing."""
    user = host.find(owner)
    host.change_user(owner, is_active=False)
    with host.app.app_context(), pytest.raises(UserNotFound):
        machine_store.bind(make_machine(), user)
    assert host.codes() == []


def test_a_deleted_user_is_not_found(host: Host, owner: uuid.UUID) -> None:
    """The user look-up of Flask-JWT-Extended finds nobody, and the answer keeps its documented form."""
    token = host.token(owner)
    with host.app.app_context():
        db.session.execute(delete(User).where(User.id == owner))
        db.session.commit()
    assert_answer(host.register(token), "10003")


def test_errors_of_the_host_stay_problems(host: Host, owner: uuid.UUID) -> None:
    """Wrong paths, wrong methods and wrong passwords get the host's form of an error."""
    wrong = {"email": "nobody@example.org", "password": "wrong"}
    responses = {
        404: host.client.post("/machine"),
        405: host.client.get(REGISTER.path),
        401: host.client.post("/login", data=wrong),
        400: host.client.post("/login"),
    }
    for status, response in responses.items():
        assert (response.status_code, response.mimetype) == (status, "application/problem+json")
        assert response.get_json(force=True)["status"] == status


def test_a_blocklist_that_fails_is_a_problem_of_the_host(host: Host, owner: uuid.UUID) -> None:
    """What authentication raises goes to the host's error handlers, and nothing was bound."""
    token = host.token(owner)
    host.app.config[HANDLES_ERRORS] = True
    with host.app.app_context():
        RevokedToken.__table__.drop(db.engine)
    response = host.register(token)
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert host.codes() == []


def test_a_hook_that_fails_is_10005(host: Host, owner: uuid.UUID) -> None:
    """What the hook cannot do is an internal error of the registration, and nothing of it is left."""
    with host.app.app_context():
        models_table = db.metadata.tables["audit_entry"]
        models_table.drop(db.engine)
    assert_answer(host.register(host.token(owner)), "10005")
    assert host.machines() == []
