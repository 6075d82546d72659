"""Networks, their training, and the baselines they must not be worse than.

`engine`, `architectures` and `cells` are the only modules that import TensorFlow; everything a forecast needs once a model is
trained (`network`, `forward`, `bundle`, `heads`) is NumPy.
"""
