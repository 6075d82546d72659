"""Networks, their training, and the baselines they must not be worse than.

Only `program`, `architectures` and `cells` import TensorFlow, and only `kernel` imports Numba, `engine` asks
one of them when it trains; everything a forecast needs once a model is trained (`network`, `forward`,
`bundle`, `heads`) is NumPy.
"""
