"""An LSTM with one gate for both input and forgetting (CIFG in Greff et al. 2017)."""

from collections.abc import Mapping
from typing import Any

from forecast_lib.models.cells import CellVariant


class Coupled(CellVariant):
    """With h the state, c the memory, * elementwise::

    i = sigmoid(x Wi + h Ri + bi)
    c = (1 - i) * c_before + i * tanh(x Wg + h Rg + bg)
    h = sigmoid(x Wo + h Ro + bo) * tanh(c)
    """

    gates = 3

    def step(self, m: Any, z: Any, memory: Any, own: Mapping[str, Any]) -> tuple[Any, Any]:
        """As above."""
        i, g, o = m.split(z, 3, axis=-1)
        gate = m.sigmoid(i)
        new = (1 - gate) * memory + gate * m.tanh(g)
        return m.sigmoid(o) * m.tanh(new), new


VARIANT = Coupled()
