"""The tests of the package and of the example."""

import pytest

pytest.register_assert_rewrite("tests.support")
