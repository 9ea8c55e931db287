"""Takes a request through the checks in the documented order, and then through one of three actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime, timezone
from typing import ClassVar, cast

from flask import Response, current_app
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import Unauthorized as WerkzeugUnauthorized

from . import _answers, _body, _config, _endpoint_definitions, _reporting
from ._answers import Answer
from ._endpoint_definitions import Endpoint
from ._errors import (
    AegisMachinesError,
    EndpointClosed,
    MachineCodeTaken,
    Refusal,
    StoreFailure,
    Unauthorized,
    UserNotFound,
)
from ._records import MACHINE_FIELDS, Machine, User
from ._redaction import redact
from ._refusal_checks import check_refusal
from ._reporting import RequestInfo
from ._request_schemas import AEGISSPEED_ID, AFTER, LIMIT, MACHINE_CODE, MAX_PAGE, machine_from, require_user
from ._request_scopes import request_scopes
from ._responses import make_rate_limit_response, make_response
from ._sync_functions import require_finished
from ._validation import ValidatedDocument
from .identity import Authenticate
from .stores import MachineStore, UserStore

__all__ = ["ListMachines", "Pipeline", "RegisterMachine", "VerifyMachineCode"]


class Pipeline(ABC):
    """Handles the requests to one endpoint.

    Args:
        users: Where the token's user is looked up.
        machines: Where machines are bound.
        authenticate: Returns the identity of the current request's caller.
    """

    endpoint: ClassVar[Endpoint]

    def __init__(self, users: UserStore, machines: MachineStore, authenticate: Authenticate) -> None:
        self._users = users
        self._machines = machines
        self._authenticate = authenticate

    def handle_request(self) -> Response:
        """Check the current request, and do what it asks for.

        Returns:
            The response.

        Raises:
            Exception: ``authenticate`` raised an exception that goes to the error handlers of the host, or
                the JSON provider of the app failed on the answer 10005.
        """
        info = RequestInfo()
        try:
            answer, response = self._check_and_act(info)
        except Exception as error:
            if info.is_authenticating and not isinstance(error, AegisMachinesError):
                _body.drain()
                _reporting.remove_values(error)
                raise
            failure = error
        except BaseException as error:  # the server ends the worker, or a timeout of gevent has expired
            _body.discard()
            _reporting.remove_values(error)
            raise
        else:
            self._report(info, answer)
            return response
        return self._respond_to(failure, info)

    def handle_rate_limit(self, error: HTTPException) -> Response:
        """Answer a request that a rate limiter of the host has refused.

        Args:
            error: What the limiter raised, a 429.

        Returns:
            The response.
        """
        _body.drain()
        response = make_rate_limit_response(self.endpoint, error)
        self._report(RequestInfo(), _answers.TOO_MANY_REQUESTS)
        return response

    def _respond_to(self, error: Exception, info: RequestInfo) -> Response:
        _body.drain()
        if isinstance(error, Refusal):
            try:
                check_refusal(type(error))
                answer = self.endpoint.answer_for(type(error).answer)
                response = make_response(self.endpoint, answer, error.data)
            except Exception as failure:
                error = failure
            else:
                self._report(info, answer)
                return response
        answer = self.endpoint.answer_for(_answers.INTERNAL_ERROR)
        _reporting.report_failure(info, answer, error)
        return make_response(self.endpoint, answer)

    def _check_and_act(self, info: RequestInfo) -> tuple[Answer, Response]:
        if not _config.get_flag(current_app.config, self.endpoint.config_key):
            raise EndpointClosed
        with request_scopes(self._users, self._machines):
            identity = self._get_identity(info)
            document = self.endpoint.schema.validate(_body.read_json_object())
            info.machine = self._machine(document)
            info.user = None if identity is None else self._find_user(identity)
            user = require_user(info.user, document[AEGISSPEED_ID])
            return self._act(info, user, document)

    def _get_identity(self, info: RequestInfo) -> str | None:
        """Return the identity of the caller; ``None`` if the token is valid and its user does not exist."""
        info.is_authenticating = True
        try:
            identity = self._authenticate()
        except WerkzeugUnauthorized:
            raise Unauthorized from None
        except UserNotFound as error:  # answered with 10003 after the checks of the body
            if type(error).answer != UserNotFound.answer:  # a refusal of the app
                raise
            info.is_authenticating = False
            return None
        info.is_authenticating = False
        require_finished("authenticate", identity)
        if identity is None or identity is False or identity == "":
            raise Unauthorized
        return str(identity)

    def _find_user(self, identity: str) -> User | None:
        user = self._users.get(identity)
        require_finished("users.get()", user)
        if user is not None and not isinstance(user, User):
            raise StoreFailure("users.get() must return a flask_aegis_machines.User or None")
        return user

    def _machine(self, document: ValidatedDocument) -> Machine | None:
        """Return the machine that a request is to register."""
        return None

    @abstractmethod
    def _act(self, info: RequestInfo, user: User, document: ValidatedDocument) -> tuple[Answer, Response]:
        """Do what a request asks for, when all checks have passed."""

    def _report(self, info: RequestInfo, answer: Answer) -> None:
        _reporting.log_answer(info, answer)


class RegisterMachine(Pipeline):
    """Binds a machine."""

    endpoint = _endpoint_definitions.REGISTER

    def _machine(self, document: ValidatedDocument) -> Machine:
        return machine_from(document)

    def _act(self, info: RequestInfo, user: User, document: ValidatedDocument) -> tuple[Answer, Response]:
        machine = replace(cast(Machine, info.machine), registered_at=datetime.now(timezone.utc))
        data = {"machine_code": machine.machine_code, "user_id": redact(user.id_number)}
        # Made before the machine is bound: a failure here would answer 10005 for a machine that is bound.
        response = make_response(self.endpoint, _answers.REGISTERED, data)
        try:
            require_finished("machines.bind()", self._machines.bind(machine, user))
        except MachineCodeTaken as taken:
            # Read here, and not before: a callable of the host may need a connection that the look-up held.
            if not (taken.by_same_user and _config.get_flag(current_app.config, _config.REPEAT_BY_OWNER)):
                raise
        else:
            info.machine, info.is_bound_now = machine, True
        return _answers.REGISTERED, response

    def _report(self, info: RequestInfo, answer: Answer) -> None:
        super()._report(info, answer)
        if answer is not _answers.REGISTERED:
            _reporting.send_refused(info, answer)
        elif info.is_bound_now:
            _reporting.send_registered(info, answer)


class VerifyMachineCode(Pipeline):
    """Checks whether a machine code is bound."""

    endpoint = _endpoint_definitions.VERIFY

    def _act(self, info: RequestInfo, user: User, document: ValidatedDocument) -> tuple[Answer, Response]:
        owner = self._machines.owner_of(document[MACHINE_CODE])
        answer = _answers.NOT_BOUND
        if owner is not None:
            answer = _answers.BOUND_TO_USER if owner.is_user(user) else _answers.BOUND
        return answer, make_response(self.endpoint, answer)


class ListMachines(Pipeline):
    """Lists the machines of the user."""

    endpoint = _endpoint_definitions.GET

    def _act(self, info: RequestInfo, user: User, document: ValidatedDocument) -> tuple[Answer, Response]:
        limit = document.get(LIMIT, MAX_PAGE)
        # One more than the page has, to know whether a page follows.
        found = self._machines.list_for(user, after=document.get(AFTER), limit=limit + 1)
        page = found[:limit]
        data = {
            "user_id": redact(user.id_number),
            "machines": [_describe(machine) for machine in page],
            "next": page[-1].machine_code if len(found) > limit else None,
        }
        return _answers.RETRIEVED, make_response(self.endpoint, _answers.RETRIEVED, data)


def _describe(machine: Machine) -> dict[str, str]:
    if machine.registered_at is None:
        raise StoreFailure("list_for() returned a machine without registered_at")
    facts: dict[str, str] = {name: getattr(machine, name) for name in MACHINE_FIELDS}
    return {**facts, "registered_at": machine.registered_at.isoformat(timespec="microseconds")}
