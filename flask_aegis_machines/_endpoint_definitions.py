"""The three endpoints as data: path, fields, answers and envelope of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from . import _answers, _config, _request_schemas
from ._answers import Answer
from ._validation import Schema

__all__ = ["ENDPOINTS", "GET", "REGISTER", "VERIFY", "Endpoint"]

_ERRORS = (
    _answers.CLOSED,
    _answers.INVALID_ID,
    _answers.NO_USER,
    _answers.INTERNAL_ERROR,
    _answers.MISMATCH,
    _answers.INVALID_REQUEST,
    _answers.UNAUTHORIZED,
    _answers.TOO_LARGE,
    _answers.UNSUPPORTED_TYPE,
    _answers.TOO_MANY_REQUESTS,
)


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One endpoint of the API.

    Args:
        path_prefix: The path before the name.
        name: The last part of the path, and the name of the view.
        summary: What the endpoint does, in one sentence.
        schema: The fields of a request.
        config_key: The config key that opens and closes the endpoint.
        successes: The answers with status 200.
        envelope: ``{status, code, result, data}`` or ``{status, code, info, result}``.
        errors: The error answers, with the codes of the registration endpoint.
        replacements: For some of these, the answer that this endpoint gives instead.
    """

    path_prefix: str
    name: str
    summary: str
    schema: Schema
    config_key: str
    successes: tuple[Answer, ...]
    envelope: Literal["data", "info"] = "data"
    errors: tuple[Answer, ...] = _ERRORS
    replacements: Mapping[Answer, Answer] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the path in the API document, with its leading slash."""
        return f"{self.path_prefix}/{self.name}"

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Return every answer of this endpoint, the successful ones first."""
        return (*self.successes, *map(self.answer_for, self.errors))

    def answer_for(self, answer: Answer) -> Answer:
        """Return what this endpoint answers in place of an answer of the registration.

        Args:
            answer: An answer with an error.

        Returns:
            The answer with the code and the words of this endpoint.
        """
        return self.replacements.get(answer, answer)


REGISTER = Endpoint(
    path_prefix="/machine/register",
    name="register_machine_info_by_aegisspeed_id",
    summary="Bind a machine to the account of the signed-in user, permanently.",
    schema=_request_schemas.REGISTRATION,
    config_key=_config.REGISTER_OPEN,
    successes=(_answers.REGISTERED,),
    errors=(_answers.TAKEN, *_ERRORS),
)
VERIFY = Endpoint(
    path_prefix="/verify",
    name="verify_is_machine_code_available_by_aegisspeed_id",
    summary="Check whether a machine code is bound, and whether to the signed-in user.",
    schema=_request_schemas.VERIFICATION,
    config_key=_config.VERIFY_OPEN,
    successes=(_answers.NOT_BOUND, _answers.BOUND_TO_USER, _answers.BOUND),
    envelope="info",
    replacements={
        _answers.NO_USER: _answers.VERIFY_NO_USER,
        _answers.INTERNAL_ERROR: _answers.VERIFY_FAILED,
    },
)
GET = Endpoint(
    path_prefix="/machine/get",
    name="get_user_machine_info_by_aegisspeed_id",
    summary="List the machines of the signed-in user, oldest first, page by page.",
    schema=_request_schemas.LISTING,
    config_key=_config.GET_OPEN,
    successes=(_answers.RETRIEVED,),
    replacements={_answers.INTERNAL_ERROR: _answers.LIST_FAILED},
)

ENDPOINTS = (REGISTER, VERIFY, GET)
