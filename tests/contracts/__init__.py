"""Shared suites: whoever adds a price source or a network variant subclasses one of them and gives
the facts.
"""

import pytest

pytest.register_assert_rewrite("tests.contracts.price_source", "tests.contracts.model_variant")
