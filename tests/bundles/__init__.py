import pytest

pytest.register_assert_rewrite("tests.bundles.tracking")
