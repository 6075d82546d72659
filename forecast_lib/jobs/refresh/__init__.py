"""Models: what is due for training, the pooled networks, and each ticker's own."""
