"""RMC in plain NumPy, one sequence at a time, row by row and head by head.

Written from section 3 of the paper (arXiv 1806.01822) and the docstring of
`rmc_nalu_sam.RMC`, not from the code.
"""

import numpy as np
from reference_layers import layer, linear, sigmoid


def initial_memory(num_slots, width):
  memory = np.zeros([num_slots, width])
  for i in range(min(num_slots, width)):
    memory[i, i] = 1
  return memory


def norm(params, x):
  assert x.ndim == 1
  return (np.asarray(params["scale"]) * (x - x.mean())
          / np.sqrt(x.var() + 1e-5) + np.asarray(params["offset"]))


def softmax(x):
  return np.exp(x) / np.exp(x).sum()


def mlp(params, x, num_layers):
  for i in range(num_layers):
    x = linear(layer(params, f"/mlp_{i}"), x)
    if i < num_layers - 1:
      x = np.maximum(x, 0)
  return x


def attend(qkv, num_heads, key_size):
  """Lets all rows attend to all rows.

  Returns:
    The words read by each row, and the weights `[H, R, R]`.
  """
  heads = [q.reshape(num_heads, -1) for q in qkv]
  found, weights = [], np.zeros([num_heads, len(qkv), len(qkv)])
  for r, asking in enumerate(heads):
    parts = []
    for h in range(num_heads):
      query = asking[h, :key_size]
      scores = np.array([
          query @ row[h, key_size:2 * key_size] for row in heads])
      weights[h, r] = softmax(scores / np.sqrt(key_size))
      parts.append(sum(w * row[h, 2 * key_size:]
                       for w, row in zip(weights[h, r], heads, strict=True)))
    found.append(np.concatenate(parts))
  return found, weights


def step(params, inputs, memory, *, num_heads, key_size, num_blocks=1,
         gate_style="unit", attention_mlp_layers=2, forget_bias=1,
         input_bias=0):
  """Runs one step on `inputs [I, F]`.

  Returns:
    The memory after the step, and the attention `[L, H, N, N + I]`.
  """
  seen = [linear(layer(params, "/inputs"), x) for x in inputs]
  rows = [*memory, *seen]
  attention = []
  for b in range(num_blocks):
    qkv = [norm(layer(params, f"/qkv_norm_{b}"),
                linear(layer(params, f"/qkv_{b}"), row)) for row in rows]
    found, weights = attend(qkv, num_heads, key_size)
    attention.append(weights[:, :len(memory)])
    rows = [norm(layer(params, f"/attention_norm_{b}"), row + more)
            for row, more in zip(rows, found, strict=True)]
    rows = [norm(layer(params, f"/mlp_norm_{b}"),
                 row + mlp(params, row, attention_mlp_layers)) for row in rows]
  candidate = rows[:len(memory)]
  if gate_style is None:
    return np.array(candidate), np.array(attention)
  said = linear(layer(params, "/input_gates"), np.concatenate(seen))
  after = []
  for old, new in zip(memory, candidate, strict=True):
    take, keep = np.split(
        said + linear(layer(params, "/memory_gates"), np.tanh(old)), 2)
    after.append(sigmoid(take + input_bias) * np.tanh(new)
                 + sigmoid(keep + forget_bias) * old)
  return np.array(after), np.array(attention)
