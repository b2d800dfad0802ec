"""NTM in plain NumPy, one sequence at a time, row by row.

Written from equations 2 to 9 of the paper (arXiv 1410.5401) and from the notes
in the docstring of `rmc_nalu_sam.NTM`, not from the code.
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


def initial_state(hidden_size, num_slots, word_size, num_heads,
                  memory_init=1e-6) -> State:
  row_0 = np.zeros([num_heads, num_slots])
  row_0[:, 0] = 1
  return State(
      hidden=np.zeros(hidden_size), cell=np.zeros(hidden_size),
      memory=np.full([num_slots, word_size], memory_init),
      read_weights=row_0, read_words=np.zeros([num_heads, word_size]),
      write_weights=row_0)


def step(params, inputs, prev: State, shift_range=1):
  """Runs one step on `inputs [F]`; returns the output and the new state."""
  num_heads, word_size = prev.read_words.shape
  num_shifts = 2 * shift_range + 1
  hidden, cell = lstm(
      layer(params, "controller/linear"),
      np.concatenate([inputs, prev.read_words.ravel(), prev.hidden]), prev.cell)
  # For each head: address of the write, erase, add, address of the read.
  said = linear(layer(params, "interface"), hidden).reshape(num_heads, -1)
  move = word_size + 3 + num_shifts
  write, read = said[:, :move], said[:, -move:]
  erases = sigmoid(said[:, move:move + word_size])
  additions = said[:, move + word_size:move + 2 * word_size]

  write_weights = np.stack([
      address(write[h], prev.memory, prev.write_weights[h], num_shifts)
      for h in range(num_heads)])
  memory = prev.memory.copy()
  for h in range(num_heads):
    memory *= 1 - np.outer(write_weights[h], erases[h])
  for h in range(num_heads):
    memory += np.outer(write_weights[h], additions[h])
  read_weights = np.stack([
      address(read[h], memory, prev.read_weights[h], num_shifts)
      for h in range(num_heads)])
  read_words = read_weights @ memory

  output = linear(layer(params, "output"),
                  np.concatenate([hidden, read_words.ravel()]))
  return output, State(
      hidden, cell, memory, read_weights, read_words, write_weights)


def address(said, memory, prev_weights, num_shifts):
  """Computes equations 5 to 9 for one head."""
  word_size = memory.shape[1]
  key = said[:word_size]
  strength = softplus(said[word_size])
  gate = sigmoid(said[word_size + 1])
  shifts = np.exp(said[word_size + 2:word_size + 2 + num_shifts])
  shifts /= shifts.sum()
  sharpness = 1 + softplus(said[-1])

  content = np.exp([strength * cosine(key, row) for row in memory])
  content /= content.sum()
  gated = gate * content + (1 - gate) * prev_weights
  shifted = shift(gated, shifts)
  sharp = shifted ** sharpness
  return sharp / sharp.sum()


def shift(weights, shifts):
  """Computes equation 8 for one head: j goes from -(S // 2) to S // 2."""
  num_slots, reach = len(weights), len(shifts) // 2
  shifted = np.zeros(num_slots)
  for i in range(num_slots):
    for j in range(-reach, reach + 1):
      shifted[i] += weights[(i - j) % num_slots] * shifts[j + reach]
  return shifted
