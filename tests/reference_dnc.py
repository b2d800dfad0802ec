"""DNC in plain NumPy, one sequence at a time, by loops over rows and heads.

Written from the Methods of Graves et al. 2016 (Nature 538), from sections 3.1
to 3.3 of Csordas and Schmidhuber 2019 (arXiv 1904.10278) and from the notes in
the docstring of `rmc_nalu_sam.DNC`, not from the code.
"""

import dataclasses

import numpy as np

EPSILON = 1e-6


@dataclasses.dataclass
class State:
  """Holds the state after one step."""

  hidden: np.ndarray  # [L, hidden_size], of the controller's layers
  cell: np.ndarray  # [L, hidden_size]
  memory: np.ndarray  # [N, W]
  usage: np.ndarray  # [N]
  read_weights: np.ndarray  # [R, N]
  write_weights: np.ndarray  # [H, N]
  read_words: np.ndarray  # [R, W]
  link: np.ndarray  # [H, N, N]
  precedence: np.ndarray  # [H, N]


def initial_state(hidden_size, num_slots, word_size, num_read_heads,
                  num_write_heads, num_layers=1) -> State:
  return State(
      hidden=np.zeros([num_layers, hidden_size]),
      cell=np.zeros([num_layers, hidden_size]),
      memory=np.zeros([num_slots, word_size]), usage=np.zeros(num_slots),
      read_weights=np.zeros([num_read_heads, num_slots]),
      write_weights=np.zeros([num_write_heads, num_slots]),
      read_words=np.zeros([num_read_heads, word_size]),
      link=np.zeros([num_write_heads, num_slots, num_slots]),
      precedence=np.zeros([num_write_heads, num_slots]))


def step(params, inputs, prev: State, clip=20., masked=False, mask_min=0.,
         deallocate=False, sharpen_links=False):
  """Runs one step on `inputs [F]`; returns the output and the new state."""
  num_slots, word_size = prev.memory.shape
  reads, writes = len(prev.read_weights), len(prev.write_weights)
  bound = clip or np.inf
  seen = np.concatenate([inputs, prev.read_words.ravel()])
  layers: list[tuple[np.ndarray, np.ndarray]] = []
  for i, (hidden, cell) in enumerate(zip(prev.hidden, prev.cell, strict=True)):
    name = f"controller_{i}/linear" if i else "controller/linear"
    below = layers[-1][0] if layers else []
    layers.append(_lstm(_layer(params, name),
                        np.concatenate([seen, below, hidden]), cell))
  hidden, cell = np.clip(np.stack(layers, axis=1), -bound, bound)

  said = iter(_linear(_layer(params, "interface"), hidden.ravel()))

  def take(*shape):
    return np.array([next(said) for _ in range(np.prod(shape))]).reshape(shape)

  read_keys, read_strengths = take(reads, word_size), _softplus(take(reads))
  write_keys, write_strengths = take(writes, word_size), _softplus(take(writes))
  erase = _sigmoid(take(writes, word_size))
  vectors = take(writes, word_size)
  free_gates = _sigmoid(take(reads))
  allocation_gates, write_gates = _sigmoid(take(writes)), _sigmoid(take(writes))
  modes = [_softmax(mode) for mode in take(reads, 2 * writes + 1)]
  read_masks, write_masks = np.ones_like(read_keys), np.ones_like(write_keys)
  if masked:
    read_masks, write_masks = (
        mask_min + (1 - mask_min) * _sigmoid(take(heads, word_size))
        for heads in (reads, writes))
  link_strengths = (
      1 + _softplus(take(reads, 2, writes)) if sharpen_links else None)
  assert next(said, None) is None

  # Free what was read, use what was written.
  retained = np.ones(num_slots)
  for r in range(reads):
    retained *= 1 - free_gates[r] * prev.read_weights[r]
  untouched = np.ones(num_slots)
  for h in range(writes):
    untouched *= 1 - prev.write_weights[h]
  # The same rounding as in the library: it decides between rows that nearly
  # tie.
  usage = (prev.usage + (1 - prev.usage) * (1 - untouched)) * retained

  write_weights = np.zeros([writes, num_slots])
  simulated = usage
  for h in range(writes):
    free = allocation(simulated)
    simulated = simulated + (
        (1 - simulated) * allocation_gates[h] * write_gates[h] * free)
    similar = lookup(prev.memory, write_keys[h], write_strengths[h],
                     write_masks[h])
    write_weights[h] = write_gates[h] * (
        allocation_gates[h] * free + (1 - allocation_gates[h]) * similar)

  memory = prev.memory.copy()
  for n in range(num_slots):
    if deallocate:
      memory[n] *= retained[n]
    for h in range(writes):
      memory[n] *= 1 - write_weights[h, n] * erase[h]
    for h in range(writes):
      memory[n] += write_weights[h, n] * vectors[h]

  link, precedence = np.zeros_like(prev.link), np.zeros_like(prev.precedence)
  for h in range(writes):
    link[h] = next_link(prev.link[h], prev.precedence[h], write_weights[h])
    precedence[h] = ((1 - write_weights[h].sum()) * prev.precedence[h]
                     + write_weights[h])

  read_weights = np.zeros([reads, num_slots])
  for r in range(reads):
    for h in range(writes):
      backward = link[h].T @ prev.read_weights[r]
      forward = link[h] @ prev.read_weights[r]
      if sharpen_links:
        backward = sharpen(backward, link_strengths[r, 0, h])
        forward = sharpen(forward, link_strengths[r, 1, h])
      read_weights[r] += modes[r][h] * backward
      read_weights[r] += modes[r][writes + h] * forward
    read_weights[r] += modes[r][-1] * lookup(
        memory, read_keys[r], read_strengths[r], read_masks[r])
  read_words = read_weights @ memory

  output = _linear(_layer(params, "output"),
                   np.concatenate([hidden.ravel(), read_words.ravel()]))
  return np.clip(output, -bound, bound), State(
      hidden, cell, memory, usage, read_weights, write_weights, read_words,
      link, precedence)


def allocation(usage):
  """Computes `a[phi_j] = (1 - u[phi_j]) prod_{i < j} u[phi_i]`.

  The rows phi are in order of rising usage.
  """
  usage = EPSILON + (1 - EPSILON) * usage
  weights, left = np.zeros_like(usage), 1.
  for row in sorted(range(len(usage)), key=lambda n: usage[n]):
    weights[row] = (1 - usage[row]) * left
    left *= usage[row]
  return weights


def next_link(link, precedence, weights):
  new = np.zeros_like(link)
  for i in range(len(weights)):
    for j in range(len(weights)):
      if i != j:
        new[i, j] = ((1 - weights[i] - weights[j]) * link[i, j]
                     + weights[i] * precedence[j])
  return new


def lookup(memory, key, strength, mask):
  key = key * mask
  scores = np.zeros(len(memory))
  for n, row in enumerate(memory * mask):
    norms = np.sqrt(key @ key + EPSILON) * np.sqrt(row @ row + EPSILON)
    scores[n] = key @ row / (norms + EPSILON)
  return _softmax(strength * scores)


def sharpen(weights, strength):
  powers = ((weights + EPSILON) / (weights + EPSILON).max()) ** strength
  return powers / powers.sum()


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


def _softplus(x):
  return np.log1p(np.exp(x))


def _softmax(x):
  return np.exp(x) / np.exp(x).sum()
