"""An LSTM whose gates also see the memory (Gers and Schmidhuber 2000; Gers, Schraudolph and Schmidhuber
2002).
"""

from collections.abc import Mapping
from typing import Any

from forecast_lib.models.cells import CellVariant


class Peephole(CellVariant):
    """With h the state, c the memory, * elementwise::

    i = sigmoid(x Wi + h Ri + p_i * c_before + bi)
    f = sigmoid(x Wf + h Rf + p_f * c_before + bf)
    c = f * c_before + i * tanh(x Wg + h Rg + bg)
    o = sigmoid(x Wo + h Ro + p_o * c + bo)
    h = o * tanh(c)
    """

    gates = 4
    bias = "forget_one"
    own = {"peepholes": 3}  # noqa: RUF012

    def step(self, m: Any, z: Any, memory: Any, own: Mapping[str, Any]) -> tuple[Any, Any]:
        """Rows of `peepholes`: p_i, p_f, p_o."""
        peep = own["peepholes"]
        i, f, g, o = m.split(z, 4, axis=-1)
        new = m.sigmoid(f + peep[1] * memory) * memory + m.sigmoid(i + peep[0] * memory) * m.tanh(g)
        return m.sigmoid(o + peep[2] * new) * m.tanh(new), new


VARIANT = Peephole()
