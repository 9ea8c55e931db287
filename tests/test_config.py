"""The config keys."""

from __future__ import annotations

import pytest
from flask import request

from flask_aegis_machines import ConfigurationError, _config
from flask_aegis_machines.stores import Notice


def _raise_secret() -> bool:
    raise ValueError("S3cret")


@pytest.mark.parametrize(("key", "default"), _config.DEFAULTS.items())
def test_a_key_has_a_default_and_takes_bools_and_callables(key: str, default: bool) -> None:
    """A key that is not set has its default. A callable is called each time."""
    answers = iter([True, False])
    config = {key: lambda: next(answers)}
    assert _config.get_flag({}, key) is default
    assert [_config.get_flag(config, key), _config.get_flag(config, key)] == [True, False]
    assert [_config.get_flag({key: value}, key) for value in (True, False)] == [True, False]


@pytest.mark.parametrize("wrong", ["false", "true", 0, 1, None, lambda: "false"])
@pytest.mark.parametrize("key", _config.DEFAULTS)
def test_a_value_of_another_type_is_rejected(key: str, wrong: object) -> None:
    """A string in place of a bool raises, and the message names the key."""
    with pytest.raises(ConfigurationError, match=key):
        _config.get_flag({key: wrong}, key)


def test_mount_leaves_callables_for_the_request() -> None:
    """At mount a callable is not called, but a wrong value raises."""
    _config.check(dict.fromkeys(_config.DEFAULTS, pytest.fail))
    with pytest.raises(ConfigurationError, match="AEGIS_MACHINES_REGISTER_OPEN"):
        _config.check({"AEGIS_MACHINES_REGISTER_OPEN": "false"})


def test_an_async_callable_is_refused_at_mount() -> None:
    """Nobody would await it, so every request would fail."""

    async def is_open() -> None:
        """Would open the endpoint, if somebody awaited it."""

    with pytest.raises(ConfigurationError, match="AEGIS_MACHINES_GET_OPEN must be a sync function"):
        _config.check({"AEGIS_MACHINES_GET_OPEN": is_open})


class TestProblems:
    """What ``doctor`` says about the config."""

    @pytest.mark.parametrize("config", [{}, dict.fromkeys(_config.DEFAULTS, True), {"SECRET_KEY": "x"}])
    def test_a_good_config_has_no_problem(self, config: dict[str, object]) -> None:
        """Defaults, open endpoints and keys of others are good."""
        assert _config.problems(config) == []

    @pytest.mark.parametrize("name", ["REGISTER", "VERIFY", "GET"])
    @pytest.mark.parametrize("closed", [False, lambda: False], ids=["bool", "callable"])
    def test_a_closed_endpoint_is_a_notice(self, name: str, closed: object) -> None:
        """An endpoint may be closed on purpose, so the line is no failure; it names the key."""
        key = f"AEGIS_MACHINES_{name}_OPEN"
        (line,) = _config.problems({key: closed})
        assert isinstance(line, Notice)
        assert line == f"{key} closes its endpoint."

    def test_a_wrong_value_does_not_hide_other_keys(self) -> None:
        """Each key is checked by itself, also the one that opens nothing."""
        config = {_config.REGISTER_OPEN: "no", _config.GET_OPEN: False, _config.REPEAT_BY_OWNER: lambda: 1}
        assert [(line.split()[0], isinstance(line, Notice)) for line in _config.problems(config)] == [
            (_config.REGISTER_OPEN, False),
            (_config.GET_OPEN, True),
            (_config.REPEAT_BY_OWNER, False),
        ]

    def test_a_callable_that_needs_a_request_is_a_notice(self) -> None:
        """A command has no request, so the key is named as not checked."""
        (line,) = _config.problems({_config.GET_OPEN: lambda: request.host == "here"})
        assert isinstance(line, Notice)
        assert line.startswith(f"{_config.GET_OPEN} is not checked: ")

    def test_a_callable_that_fails_is_a_problem(self) -> None:
        """Every request would get a 10005; the text of the error stays inside."""
        (line,) = _config.problems({_config.GET_OPEN: _raise_secret})
        assert not isinstance(line, Notice)
        assert line.startswith(f"{_config.GET_OPEN} cannot be read: ValueError at test_config.py:")

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [
            ("AEGIS_MACHINES_REGISTR_OPEN", _config.REGISTER_OPEN),
            ("AEGIS_MACHINES_OPEN_GET", _config.GET_OPEN),
            ("AEGIS_MACHINES_REPEAT", _config.REPEAT_BY_OWNER),
            ("AEGIS_MACHINES_verify_open", _config.VERIFY_OPEN),
            ("AEGIS_MACHINE_VERIFY_OPEN", _config.VERIFY_OPEN),
            ("AEGISMACHINES_GET_OPEN", _config.GET_OPEN),
        ],
    )
    def test_a_misspelt_key_is_named_with_the_right_one(self, wrong: str, right: str) -> None:
        """A key that nothing reads is a problem, for its author believes that it works."""
        (line,) = _config.problems({wrong: False})
        assert not isinstance(line, Notice)
        assert line == f"{wrong} is no config key, so it has no effect: did you mean {right}?"

    @pytest.mark.parametrize("key", ["MACHINES_OPEN", "REGISTER_OPEN", "AEGIS_URL", "", "AEGIS"])
    def test_keys_of_others_are_no_misspellings(self, key: str) -> None:
        """A key without our prefix must be very similar to one of ours."""
        assert _config.problems({key: False}) == []
