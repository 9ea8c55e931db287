"""The config keys of the host."""

from __future__ import annotations

import pytest

from flask_aegis_machines import ConfigurationError, _config


@pytest.mark.parametrize(("key", "default"), _config.DEFAULTS.items())
def test_each_key_has_its_default_and_takes_a_bool_or_a_callable(key: str, default: bool) -> None:
    """A key that is not set has its default; a callable is asked each time."""
    answers = iter([True, False])
    config = {key: lambda: next(answers)}
    assert _config.enabled({}, key) is default
    assert [_config.enabled(config, key), _config.enabled(config, key)] == [True, False]
    assert [_config.enabled({key: value}, key) for value in (True, False)] == [True, False]


@pytest.mark.parametrize("wrong", ["false", "true", 0, 1, None, lambda: "false"])
@pytest.mark.parametrize("key", _config.DEFAULTS)
def test_a_value_of_another_type_is_not_guessed(key: str, wrong: object) -> None:
    """A word in place of a bool is refused, and the message names the key."""
    with pytest.raises(ConfigurationError, match=key):
        _config.enabled({key: wrong}, key)


def test_a_check_leaves_callables_for_the_request() -> None:
    """At mount a callable is not called, while a wrong value is found."""
    _config.check(dict.fromkeys(_config.DEFAULTS, pytest.fail))
    with pytest.raises(ConfigurationError, match="AEGIS_MACHINES_REGISTER_OPEN"):
        _config.check({"AEGIS_MACHINES_REGISTER_OPEN": "false"})
