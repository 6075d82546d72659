"""Networks, their training, and the baselines they must not be worse than.

Only `program` and `architectures` import TensorFlow and Keras, and a variant when its Keras layer is asked
for; `engine` asks `program` or `kernel`, which is compiled by Numba, when it trains. Everything a forecast
needs once a model is trained (`network`, `forward`, `bundle`, `heads`) is NumPy and a compiled loop.
"""
