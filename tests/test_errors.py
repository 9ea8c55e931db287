"""The table of answers and the tree of errors."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from flask_aegis_machines import _answers, _errors
from flask_aegis_machines._endpoint_definitions import ENDPOINTS, GET, REGISTER, VERIFY, Endpoint

REGISTRATION = {
    "10000": (200, "Machine registered successfully"),
    "10001": (403, "Server has not opened this endpoint"),
    "10002": (400, "Invalid user AegisSpeed ID"),
    "10003": (404, "User does not exist"),
    "10004": (409, "Machine code already registered"),
    "10005": (500, "Registration failed, server internal error"),
    "10006": (403, "User AegisSpeed ID does not match"),
}
CHECK = {
    (200, "10000", "Machine code not bound"),
    (200, "10002", "Machine code already bound to this user"),
    (200, "10003", "Machine code already bound"),
    (403, "10001", "Server has not opened this endpoint"),
    (400, "10002", "Invalid user AegisSpeed ID"),
    (404, "10404", "User does not exist"),
    (500, "10005", "Verification failed, server internal error"),
    (403, "10006", "User AegisSpeed ID does not match"),
}
LIST = {
    (200, "10000", "User machine information retrieved"),
    (403, "10001", "Server has not opened this endpoint"),
    (400, "10002", "Invalid user AegisSpeed ID"),
    (404, "10003", "User does not exist"),
    (500, "10005", "Failed to get user machine information, server internal error"),
    (403, "10006", "User AegisSpeed ID does not match"),
}
ADDED = {
    (400, "10400", "Invalid request"),
    (401, "10401", "Missing or invalid token"),
    (413, "10413", "Request body too large"),
    (415, "10415", "Content-Type must be application/json"),
    (429, "10429", "Too many requests"),
}


def test_the_documented_answers_are_exact() -> None:
    """The answers of each endpoint are those of its document to the letter, and five more."""
    registration = {(status, code, result) for code, (status, result) in REGISTRATION.items()}
    for endpoint, documented in ((REGISTER, registration), (VERIFY, CHECK), (GET, LIST)):
        assert {tuple(answer) for answer in endpoint.answers} == documented | ADDED


def test_added_codes_cannot_collide_with_documented_ones() -> None:
    """What the documents are silent about has the code 10 + HTTP status."""
    added = [answer for answer in _answers.ANSWERS if answer.code not in REGISTRATION]
    assert [answer.code for answer in added] == [f"10{answer.status}" for answer in added]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name.partition("_")[0])
def test_status_and_code_name_one_answer(endpoint: Endpoint) -> None:
    """On one endpoint no two answers have the same status and code."""
    pairs = [(answer.status, answer.code) for answer in endpoint.answers]
    assert len(set(pairs)) == len(pairs)


def test_the_table_has_every_answer() -> None:
    """The table has exactly the answers of the module, and those that an endpoint gives."""
    named = {each for each in vars(_answers).values() if isinstance(each, _answers.Answer)}
    given = {answer for endpoint in ENDPOINTS for answer in endpoint.answers}
    assert set(_answers.ANSWERS) == named == given
    assert len(_answers.ANSWERS) == len(named)


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


OWN = [
    _errors.AegisMachinesError("text"),
    _errors.ConfigurationError("do this"),
    _errors.StoreFailure("gave up at try 3"),
    _errors.UnexpectedError("LookupError at store.py:7"),
    _errors.EndpointClosed(),
    _errors.InvalidAegisSpeedId(),
    _errors.UserNotFound(),
    _errors.MachineCodeTaken(by_same_user=True),
    _errors.MachineCodeTaken(),
    _errors.AegisSpeedIdMismatch(),
    _errors.InvalidRequest({"machine_cpu": ["required field"]}),
    _errors.Unauthorized("why"),
    _errors.PayloadTooLarge(),
    _errors.UnsupportedContentType(),
]


class Quota(_errors.Refusal):
    """A refusal of an app, with an argument that it needs."""

    answer = _answers.Answer(403, "20001", "Too many machines")

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"at most {limit}")
        self.limit = limit


@pytest.mark.parametrize("error", [*OWN, Quota(limit=5)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("restore", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_exceptions_survive_pickling(error: Exception, restore: Callable[[Exception], Exception]) -> None:
    """A task queue and a process pool hand them on with their text and attributes."""
    restored = restore(error)
    assert type(restored) is type(error)
    assert (restored.args, vars(restored)) == (error.args, vars(error))


def test_every_exception_is_pickled_here() -> None:
    """A new exception is added to the list above."""
    kinds = {
        kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert kinds - {type(error) for error in OWN} == {_errors.Refusal}


def test_a_process_pool_survives_a_refusal() -> None:
    """An exception that cannot be unpickled breaks the pool for everybody."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(_errors.MachineCodeTaken) as taken:
            pool.submit(refuse).result(60)
        assert pool.submit(len, "abc").result(60) == 3
    assert taken.value.by_same_user


def refuse() -> None:
    """Refuse as a store does in a worker."""
    raise _errors.MachineCodeTaken(by_same_user=True)
