"""SAM in plain NumPy, one sequence at a time, with dense weights over N.

Written from equations 4 to 6 of the paper (arXiv 1610.09027) and from the notes
in the docstring of `rmc_nalu_sam.SAM`, not from the code.
"""

import dataclasses

import numpy as np

EPSILON = 1e-6  # Added to squared norms.


@dataclasses.dataclass
class State:
  """Holds the state after one step; dense where the library is sparse."""

  hidden: np.ndarray
  cell: np.ndarray
  memory: np.ndarray  # [N, W]
  read_order: np.ndarray  # [H, K], rows read, the most similar first
  read_weights: np.ndarray  # [H, N]
  read_words: np.ndarray  # [H, W]
  write_weights: np.ndarray  # [H, N]
  unused: np.ndarray  # [H], the rows erased
  accesses: list[np.ndarray]  # of every step so far, [N] booleans

  def last_access(self) -> np.ndarray:
    """Returns the last step that accessed each row; 0 if none did.

    The paper's U is the current step minus this.
    """
    last = np.zeros(len(self.memory), int)
    for when, accessed in enumerate(self.accesses, start=1):
      last[accessed] = when
    return last


def initial_state(hidden_size, num_slots, word_size, num_heads, top_k) -> State:
  return State(
      hidden=np.zeros(hidden_size), cell=np.zeros(hidden_size),
      memory=np.zeros([num_slots, word_size]),
      # These rows have weight 0, so the choice does not matter.
      read_order=np.zeros([num_heads, top_k], int),
      read_weights=np.zeros([num_heads, num_slots]),
      read_words=np.zeros([num_heads, word_size]),
      write_weights=np.zeros([num_heads, num_slots]),
      unused=np.zeros(num_heads, int),
      accesses=[])


def step(params, inputs, prev: State, delta=0.005, write_bias=1,
         interpolation_bias=-2, strength_bias=3):
  """Runs one step on `inputs [F]`; returns the output and the new state."""
  num_slots, word_size = prev.memory.shape
  num_heads, top_k = prev.read_order.shape
  hidden, cell = _lstm(
      _layer(params, "controller/linear"),
      np.concatenate([inputs, prev.read_words.ravel(), prev.hidden]), prev.cell)

  said = _linear(_layer(params, "interface"), hidden)
  words = num_heads * word_size
  queries = said[:words].reshape(num_heads, word_size)
  additions = said[words:2 * words].reshape(num_heads, word_size)
  strengths, alpha, gamma = said[2 * words:].reshape(3, num_heads)
  strengths = 1 + np.log1p(np.exp(strengths + strength_bias))
  alpha = _sigmoid(alpha + write_bias)
  gamma = _sigmoid(gamma + interpolation_bias)

  # Equations 5 and 6. A stable sort gives ties to the lowest index.
  unused = np.argsort(prev.last_access(), kind="stable")[:num_heads]
  memory = prev.memory.copy()
  memory[unused] = 0
  write_weights = np.zeros([num_heads, num_slots])
  for h in range(num_heads):
    indicator = np.eye(num_slots)[unused[h]]
    write_weights[h] = alpha[h] * (
        gamma[h] * prev.read_weights[h] + (1 - gamma[h]) * indicator)
    memory += np.outer(write_weights[h], additions[h])

  # Equations 2 and 4.
  order = np.zeros([num_heads, top_k], int)
  read_weights = np.zeros([num_heads, num_slots])
  for h in range(num_heads):
    similarity = np.array([_cosine(queries[h], row) for row in memory])
    # Empty rows are taken last.
    ranked = np.where(np.any(memory != 0, axis=1), similarity, -np.inf)
    order[h] = np.argsort(-ranked, kind="stable")[:top_k]
    kept = np.exp(strengths[h] * similarity[order[h]])
    read_weights[h, order[h]] = kept / kept.sum()
  read_words = read_weights @ memory

  accessed = read_weights.sum(0) + write_weights.sum(0) > delta
  output = _linear(_layer(params, "output"),
                   np.concatenate([hidden, read_words.ravel()]))
  return output, State(
      hidden, cell, memory, order, read_weights, read_words, write_weights,
      unused, [*prev.accesses, accessed])


def _layer(params, suffix):
  (layer,) = [v for name, v in params.items() if name.endswith(suffix)]
  return layer


def _linear(layer, x):
  return x @ np.asarray(layer["w"]) + np.asarray(layer["b"])


def _lstm(layer, x, cell):
  i, g, f, o = np.split(_linear(layer, x), 4)
  cell = _sigmoid(f + 1) * cell + _sigmoid(i) * np.tanh(g)
  return _sigmoid(o) * np.tanh(cell), cell


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _cosine(a, b):
  return a @ b / np.sqrt((a @ a + EPSILON) * (b @ b + EPSILON))
