"""DAM in plain NumPy, one sequence at a time.

Written from equations 1, 2, 5 and 6 of the paper (arXiv 1610.09027), its first
usage, and the notes in the docstring of `rmc_nalu_sam.DAM`, not from the code.
"""

import dataclasses

import numpy as np
from reference_layers import cosine, layer, linear, lstm, sigmoid, softplus


@dataclasses.dataclass
class State:
  """Holds the state after one step."""

  hidden: np.ndarray
  cell: np.ndarray
  memory: np.ndarray  # [N, W]
  read_weights: np.ndarray  # [H, N]
  read_words: np.ndarray  # [H, W]
  write_weights: np.ndarray  # [H, N]
  unused: np.ndarray  # [H], the rows erased
  accesses: list[np.ndarray]  # [N] of every step so far

  def usage(self, discount):
    """Returns the sum of discount^(T - t) * accesses[t], up to the last, T."""
    usage = np.zeros(len(self.memory))
    last = len(self.accesses) - 1
    for t, accessed in enumerate(self.accesses):
      usage += discount ** (last - t) * accessed
    return usage


def initial_state(hidden_size, num_slots, word_size, num_heads) -> State:
  return State(
      hidden=np.zeros(hidden_size), cell=np.zeros(hidden_size),
      memory=np.zeros([num_slots, word_size]),
      read_weights=np.zeros([num_heads, num_slots]),
      read_words=np.zeros([num_heads, word_size]),
      write_weights=np.zeros([num_heads, num_slots]),
      unused=np.zeros(num_heads, int), accesses=[])


def step(params, inputs, prev: State, discount=0.99, write_bias=1,
         interpolation_bias=-2, strength_bias=3):
  """Runs one step on `inputs [F]`; returns the output and the new state."""
  num_slots, word_size = prev.memory.shape
  num_heads = len(prev.read_weights)
  hidden, cell = lstm(
      layer(params, "controller/linear"),
      np.concatenate([inputs, prev.read_words.ravel(), prev.hidden]), prev.cell)
  said = linear(layer(params, "interface"), hidden)
  words = num_heads * word_size
  queries = said[:words].reshape(num_heads, word_size)
  additions = said[words:2 * words].reshape(num_heads, word_size)
  strengths, alpha, gamma = said[2 * words:].reshape(3, num_heads)
  strengths = 1 + softplus(strengths + strength_bias)
  alpha = sigmoid(alpha + write_bias)
  gamma = sigmoid(gamma + interpolation_bias)

  # Equations 5 and 6. A stable sort gives ties to the lowest index.
  unused = np.argsort(prev.usage(discount), kind="stable")[:num_heads]
  memory = prev.memory.copy()
  memory[unused] = 0
  write_weights = np.zeros([num_heads, num_slots])
  for h in range(num_heads):
    indicator = np.eye(num_slots)[unused[h]]
    write_weights[h] = alpha[h] * (
        gamma[h] * prev.read_weights[h] + (1 - gamma[h]) * indicator)
    memory += np.outer(write_weights[h], additions[h])

  # Equations 1 and 2.
  read_weights = np.zeros([num_heads, num_slots])
  for h in range(num_heads):
    similarity = np.array([cosine(queries[h], row) for row in memory])
    read_weights[h] = np.exp(strengths[h] * similarity)
    read_weights[h] /= read_weights[h].sum()
  read_words = read_weights @ memory

  output = linear(layer(params, "output"),
                  np.concatenate([hidden, read_words.ravel()]))
  return output, State(
      hidden, cell, memory, read_weights, read_words, write_weights, unused,
      [*prev.accesses, (write_weights + read_weights).sum(0)])
