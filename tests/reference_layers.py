"""Layers in plain NumPy, for the reference implementations of the cores."""

import numpy as np

EPSILON = 1e-6  # Added to squared norms.


def layer(params, suffix):
  """Returns the parameters of the one layer whose name ends with `suffix`."""
  (found,) = [v for name, v in params.items() if name.endswith(suffix)]
  return found


def linear(params, x):
  return x @ np.asarray(params["w"]) + np.asarray(params["b"])


def lstm(params, x, cell):
  """Computes Haiku's LSTM; `x` also holds the last hidden state."""
  i, g, f, o = np.split(linear(params, x), 4)
  cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
  return sigmoid(o) * np.tanh(cell), cell


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def softplus(x):
  return np.log1p(np.exp(x))


def cosine(a, b):
  return a @ b / np.sqrt((a @ a + EPSILON) * (b @ b + EPSILON))


def layer_norm(params, x):
  """Normalises a vector; Haiku adds 1e-5 to the variance."""
  scale, offset = np.asarray(params["scale"]), np.asarray(params["offset"])
  return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * scale + offset
