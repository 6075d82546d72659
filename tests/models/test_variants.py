"""Every variant passes the shared suite."""

import pytest

from forecast_lib.config import VARIANTS
from tests.contracts.model_variant import ModelVariantContract

pytestmark = pytest.mark.slow


def test_every_variant_has_its_class():
    assert sorted(each.variant for each in ModelVariantContract.__subclasses__()) == list(VARIANTS)


class TestLSTM(ModelVariantContract):
    variant = "lstm"
    default_layers = 1


class TestStacked(ModelVariantContract):
    variant = "stacked"
    default_layers = 2


class TestBidirectional(ModelVariantContract):
    variant = "bidirectional"
    default_layers = 1


class TestAttention(ModelVariantContract):
    variant = "attention"
    default_layers = 1


class TestPeephole(ModelVariantContract):
    variant = "peephole"
    default_layers = 1


class TestCoupled(ModelVariantContract):
    variant = "coupled"
    default_layers = 1


class TestGRU(ModelVariantContract):
    variant = "gru"
    default_layers = 1
