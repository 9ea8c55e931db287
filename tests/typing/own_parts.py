"""Stores and tokens of a host's own, and what a checker must refuse."""

from __future__ import annotations

from flask import Blueprint, request

from flask_aegis_machines import (
    Answer,
    InvalidRequest,
    Machine,
    MachineCodeTaken,
    MachineStore,
    Owner,
    Refusal,
    Unauthorized,
    User,
    UserNotFound,
    UserStore,
    bearer,
    create_blueprint,
    jwt_identity,
    login_identity,
    machine_from_document,
)
from flask_aegis_machines.stores.memory import MemoryMachineStore, MemoryUserStore


class Users(UserStore):
    def get(self, identity: str) -> User | None:
        return User(int(identity), "ASD000001", "110101199003071234") if identity.isdigit() else None


class Machines(MachineStore):
    def bind(self, machine: Machine, user: User) -> None:
        if user.key == 0:
            raise UserNotFound
        raise MachineCodeTaken(by_same_user=machine.machine_code == str(user.key))

    def owner_of(self, machine_code: str) -> Owner | None:
        return Owner(7) if machine_code else None

    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        return []


class TooManyMachines(Refusal):
    answer = Answer(403, "20001", "This account has 5 machines")


def make(document: dict[str, object]) -> Machine | None:
    try:
        return machine_from_document(document)
    except InvalidRequest:
        return None


class Unfinished(UserStore):
    pass


def verify(token: str) -> int | None:
    return len(token) or None


def by_basic_authentication() -> str | None:
    if request.authorization is None:
        raise Unauthorized
    return request.authorization.username


blueprints: list[Blueprint] = [
    create_blueprint(users=Users(), machines=Machines()),
    create_blueprint(users=MemoryUserStore(), machines=MemoryMachineStore(), authenticate=jwt_identity),
    create_blueprint(users=Users(), machines=Machines(), authenticate=bearer(verify), name="second"),
    create_blueprint(users=Users(), machines=Machines(), authenticate=login_identity),
    create_blueprint(users=Users(), machines=Machines(), authenticate=by_basic_authentication),
    create_blueprint(users=Users(), machines=Machines(), authenticate=lambda: request.headers.get("X-User")),
    create_blueprint(users=Users(), machines=Machines(), refusals=[TooManyMachines]),
]

Unfinished()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
create_blueprint(users=Machines(), machines=Users())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
create_blueprint(users=Users(), machines=Machines(), authenticate=verify)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
create_blueprint(Users(), Machines())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
