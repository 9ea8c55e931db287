"""The table of answers and the tree of errors."""

from __future__ import annotations

import pytest

from flask_aegis_machines import _answers, _errors

DOCUMENTED = {
    "10000": (200, "Machine registered successfully"),
    "10001": (403, "Server has not opened this endpoint"),
    "10002": (400, "Invalid user AegisSpeed ID"),
    "10003": (404, "User does not exist"),
    "10004": (409, "Machine code already registered"),
    "10005": (500, "Registration failed, server internal error"),
    "10006": (403, "User AegisSpeed ID does not match"),
}


def test_the_documented_answers_are_exact() -> None:
    """The seven answers of the API document are there to the letter."""
    table = {answer.code: (answer.status, answer.result) for answer in reversed(_answers.ANSWERS)}
    assert {code: table[code] for code in DOCUMENTED} == DOCUMENTED


def test_other_answers_cannot_collide_with_documented_ones() -> None:
    """What the API document is silent about has the code 10 + HTTP status, once each."""
    others = [answer for answer in _answers.ANSWERS if answer.code not in DOCUMENTED]
    assert [answer.code for answer in others] == [f"10{answer.status}" for answer in others]
    refusals = [answer.code for answer in _answers.ANSWERS if answer.status != 200]
    assert len(set(refusals)) == len(refusals)


def test_the_table_has_every_answer() -> None:
    """No answer of the module is missing from the table, on which documents and tests are built."""
    assert set(_answers.ANSWERS) == {
        each for each in vars(_answers).values() if isinstance(each, _answers.Answer)
    }


def test_every_error_has_one_root_and_is_drawn() -> None:
    """The tree in the docstring is the tree of the classes, and says the code of each refusal."""
    kinds = [
        each for each in vars(_errors).values() if isinstance(each, type) and issubclass(each, Exception)
    ]
    drawn = {line.split()[-2]: line for line in (_errors.__doc__ or "").splitlines() if line[-5:].isdigit()}
    assert all(issubclass(kind, _errors.AegisMachinesError) for kind in kinds)
    assert all(kind.__name__ in (_errors.__doc__ or "") for kind in kinds)
    refusals = [kind for kind in kinds if issubclass(kind, _errors.Refusal) and kind is not _errors.Refusal]
    assert {kind.__name__: kind.answer.code for kind in refusals} == {
        name: line[-5:] for name, line in drawn.items() if name in {kind.__name__ for kind in refusals}
    }


@pytest.mark.parametrize("by_same_user", [False, True])
def test_refusals_that_carry_something_say_it_in_words(by_same_user: bool) -> None:
    """A refusal with arguments still has a text for those who print it."""
    taken = _errors.MachineCodeTaken(by_same_user=by_same_user)
    assert (str(taken), taken.by_same_user) == ("Machine code already registered", by_same_user)
    invalid = _errors.InvalidRequest({"machine_cpu": ["required field"]})
    assert str(invalid) == "Invalid request"


def test_the_answers_that_we_added_do_not_change() -> None:
    """Clients may have come to rely on the texts as well as on the codes."""
    assert {answer.code: answer.result for answer in _answers.ANSWERS if answer.code > "10006"} == {
        "10400": "Invalid request",
        "10401": "Missing or invalid token",
        "10413": "Request body too large",
        "10415": "Content-Type must be application/json",
        "10429": "Too many requests",
    }
