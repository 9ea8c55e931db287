"""The documented calls, as data: where each is, what it takes and what its "yes" is."""

from __future__ import annotations

from dataclasses import dataclass

from . import _config, _validation
from ._errors import AVAILABLE, REGISTERED, RETRIEVED, Answer

__all__ = ["ENDPOINTS", "GET", "REGISTER", "VERIFY", "Endpoint"]


@dataclass(frozen=True)
class Endpoint:
    """One call of the API document.

    Args:
        folder: The path up to the name.
        name: The last part of the path, and the name of the view.
        summary: What the call does, in one sentence.
        form: The fields that it takes.
        switch: The config key that opens and closes it.
        success: Its "yes".
        may_be_taken: Whether it may answer that the machine code is taken.
    """

    folder: str
    name: str
    summary: str
    form: _validation.Form
    switch: str
    success: Answer
    may_be_taken: bool

    @property
    def path(self) -> str:
        """Return the documented path.

        Returns:
            The path, from its slash on.

        Raises:
            Nothing.
        """
        return f"{self.folder}/{self.name}"


REGISTER = Endpoint(
    folder="/machine/register",
    name="register_machine_info_by_aegisspeed_id",
    summary="Bind a machine to the account of the signed-in user, for ever.",
    form=_validation.REGISTRATION,
    switch=_config.REGISTER_OPEN,
    success=REGISTERED,
    may_be_taken=True,
)
VERIFY = Endpoint(
    folder="/verify",
    name="verify_is_machine_code_available_by_aegisspeed_id",
    summary="Tell whether a machine code is still free.",
    form=_validation.VERIFICATION,
    switch=_config.VERIFY_OPEN,
    success=AVAILABLE,
    may_be_taken=True,
)
GET = Endpoint(
    folder="/machine/get",
    name="get_user_machine_info_by_aegisspeed_id",
    summary="List the machines of the signed-in user, oldest first, page by page.",
    form=_validation.LISTING,
    switch=_config.GET_OPEN,
    success=RETRIEVED,
    may_be_taken=False,
)

ENDPOINTS = (REGISTER, VERIFY, GET)
