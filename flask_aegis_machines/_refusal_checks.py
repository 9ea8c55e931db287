"""Checks the refusals that an app defines."""

from __future__ import annotations

from collections.abc import Iterable

from ._answers import ANSWERS, Answer
from ._errors import ConfigurationError, Refusal

__all__ = ["check_refusal", "check_refusals"]

_PACKAGE_CODES = {answer.code for answer in ANSWERS}


def check_refusal(refusal: type[Refusal]) -> None:
    """Check that the answer of a refusal cannot be taken for another.

    Args:
        refusal: The class.

    Raises:
        ConfigurationError: It has no answer, its status is no error, or its code is one of this package.
    """
    if not (isinstance(refusal, type) and issubclass(refusal, Refusal)):
        raise ConfigurationError("refusals must be subclasses of Refusal.")
    answer = getattr(refusal, "answer", None)
    if not isinstance(answer, Answer) or not all(map(isinstance, answer, (int, str, str))):
        raise ConfigurationError(f'{refusal.__name__} needs an answer = Answer(403, "20001", "a text").')
    if not 400 <= answer.status <= 599:
        raise ConfigurationError(f"The status of {refusal.__name__} must be from 400 to 599.")
    if answer in ANSWERS:
        return
    if answer.code in _PACKAGE_CODES:
        raise ConfigurationError(
            f"The code {answer.code} of {refusal.__name__} already has a meaning: choose one that does not "
            "begin with 10."
        )


def check_refusals(refusals: Iterable[type[Refusal]]) -> None:
    """Check the refusals of an app one by one, and that no two share a code.

    Args:
        refusals: The classes.

    Raises:
        ConfigurationError: One is invalid, or two with different answers share a code.
    """
    answers: dict[str, Answer] = {}
    for refusal in refusals:
        check_refusal(refusal)
        answer = refusal.answer
        if answers.setdefault(answer.code, answer) != answer:
            raise ConfigurationError(f"Two refusals with different answers share the code {answer.code}.")
