"""Descriptions of exceptions."""

from __future__ import annotations

import pytest

from flask_aegis_machines import AegisMachinesError, StoreFailure
from flask_aegis_machines._errors import UserNotFound
from flask_aegis_machines._exception_text import describe


def raised(error: BaseException) -> BaseException:
    """Return the error with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_own_exceptions_are_described_by_their_text() -> None:
    """The exceptions of this package hold no values, so their text is shown as it is."""
    assert describe(raised(StoreFailure("gave up at try 3"))) == "gave up at try 3"


@pytest.mark.parametrize("error", [ValueError("S3cret"), KeyError("S3cret"), KeyboardInterrupt("S3cret")])
def test_other_exceptions_are_described_without_their_text(error: BaseException) -> None:
    """Only the class and the place that raised it are shown."""
    assert describe(raised(error)).startswith(f"{type(error).__name__} at test_exception_text.py:")


def test_a_refusal_of_an_app_is_described_without_its_text() -> None:
    """A subclass outside of the package may quote a value."""

    class TooMany(UserNotFound):
        """A refusal of an app."""

    assert describe(raised(TooMany("S3cret"))).startswith("TooMany at test_exception_text.py:")


def test_an_own_exception_without_text_is_described_by_its_class() -> None:
    """A refusal that was raised without a message does not become an empty line."""
    assert describe(raised(UserNotFound())).startswith("UserNotFound at test_exception_text.py:")


@pytest.mark.parametrize("error", [ValueError("S3cret"), AegisMachinesError()])
def test_an_exception_that_was_not_raised_has_no_place(error: Exception) -> None:
    """An exception without a traceback is described by its class."""
    assert describe(error) == type(error).__name__
