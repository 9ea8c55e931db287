"""The three endpoints as data: path, fields and answers of each."""

from __future__ import annotations

from dataclasses import dataclass

from . import _answers, _config, _validation
from ._answers import Answer

__all__ = ["ENDPOINTS", "GET", "REGISTER", "VERIFY", "Endpoint"]


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of the API document.

    Args:
        folder: The path up to the name.
        name: The last part of the path, and the name of the view.
        summary: What the endpoint does, in one sentence.
        schema: The fields of a request.
        config_key: The config key that opens and closes the endpoint.
        answers: All answers, the successful ones first.
    """

    folder: str
    name: str
    summary: str
    schema: _validation.Schema
    config_key: str
    answers: tuple[Answer, ...]

    @property
    def path(self) -> str:
        """Return the path in the API document, with its leading slash."""
        return f"{self.folder}/{self.name}"


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

REGISTER = Endpoint(
    folder="/machine/register",
    name="register_machine_info_by_aegisspeed_id",
    summary="Bind a machine to the account of the signed-in user, permanently.",
    schema=_validation.REGISTRATION,
    config_key=_config.REGISTER_OPEN,
    answers=(_answers.REGISTERED, _answers.TAKEN, *_ERRORS),
)
VERIFY = Endpoint(
    folder="/verify",
    name="verify_is_machine_code_available_by_aegisspeed_id",
    summary="Return whether a machine code is free.",
    schema=_validation.VERIFICATION,
    config_key=_config.VERIFY_OPEN,
    answers=(_answers.AVAILABLE, _answers.TAKEN, *_ERRORS),
)
GET = Endpoint(
    folder="/machine/get",
    name="get_user_machine_info_by_aegisspeed_id",
    summary="List the machines of the signed-in user, oldest first, page by page.",
    schema=_validation.LISTING,
    config_key=_config.GET_OPEN,
    answers=(_answers.RETRIEVED, *_ERRORS),
)

ENDPOINTS = (REGISTER, VERIFY, GET)
