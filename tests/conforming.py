"""The config key for the codes of an app's own refusals, where `tests.support.realistic` imports it from."""

from tests.support.conforming import OWN_CODES

__all__ = ["OWN_CODES"]
