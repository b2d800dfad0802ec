"""SDNC in plain NumPy, one sequence at a time, with links in dictionaries.

Written from supplement D of the paper (arXiv 1610.09027) and from the notes in
the docstring of `rmc_nalu_sam.SDNC`, not from the code. The write and the read
by content are those of `reference_sam`.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import reference_sam

Weights = dict[int, float]  # Row -> weight, if it is not 0.


class Links(NamedTuple):
  """Holds the links of one head, or of a head's writes alone."""

  before: list[Weights]  # [N], for each row, the rows written before it
  after: list[Weights]  # [N]
  precedence: Weights


@dataclasses.dataclass
class State:
  """Holds the state after one step.

  `sam.read_weights` are the weights that the next step uses.
  """

  sam: reference_sam.State
  links: list[Links]  # [H]


def initial_links(num_slots) -> Links:
  return Links([{}] * num_slots, [{}] * num_slots, {})


def initial_state(hidden_size, num_slots, word_size, num_heads, top_k) -> State:
  return State(
      reference_sam.initial_state(
          hidden_size, num_slots, word_size, num_heads, top_k),
      [initial_links(num_slots)] * num_heads)


def keep(weights: Weights, count: int) -> Weights:
  """Returns the `count` largest weights that are above 0."""
  ranked = sorted(weights.items(), key=lambda item: -item[1])
  return {row: weight for row, weight in ranked[:count] if weight > 0}


def add_up(*parts: Weights) -> Weights:
  total: Weights = {}
  for part in parts:
    for row, weight in part.items():
      total[row] = total.get(row, 0) + weight
  return total


def scale(factor: float, weights: Weights) -> Weights:
  return {row: factor * weight for row, weight in weights.items()}


def without(row: int, weights: Weights) -> Weights:
  return {other: weight for other, weight in weights.items() if other != row}


def update_links(links: Links, write: Weights, num_links: int,
                 new_rows=()) -> Links:
  """Applies equations 19 and 20.

  A row that changes keeps only its largest links. A row of `new_rows` that is
  written loses its old links first.
  """
  precedence = links.precedence
  before, after = list(links.before), [dict(row) for row in links.after]
  for row in set(new_rows) & set(write):
    before[row], after[row] = {}, {}
  # A link in `after` decays only if `before` also holds this link.
  for row, weight in write.items():
    for other in before[row]:
      if row in after[other]:
        after[other][row] *= 1 - weight
  for other, weight in precedence.items():
    after[other] = keep(add_up(
        after[other], scale(weight, without(other, write))), num_links)
  for row, weight in write.items():
    before[row] = keep(add_up(
        scale(1 - weight, before[row]),
        scale(weight, without(row, precedence))), num_links)
  return Links(before, after, keep(add_up(
      scale(1 - sum(write.values()), precedence), write), num_links))


def step(params, inputs, prev: State, num_links, delta=.005, **biases):
  """Runs one step on `inputs [F]`; returns the output and the new state."""
  num_heads, top_k = prev.sam.read_order.shape
  (name,) = [name for name in params if name.endswith("interface")]
  modes = 3 * num_heads  # The last part of the interface.
  _, state = reference_sam.step(
      params | {name: {k: v[..., :-modes] for k, v in params[name].items()}},
      inputs, prev.sam, **biases)
  layer = params[name]
  modes = np.exp(state.hidden @ layer["w"][:, -modes:] + layer["b"][-modes:])
  modes = modes.reshape(num_heads, 3)
  modes /= modes.sum(1, keepdims=True)

  all_links = []
  for h in range(num_heads):
    links = update_links(
        prev.links[h], nonzero(state.write_weights[h]), num_links)
    last = nonzero(prev.sam.read_weights[h])
    content = {row: state.read_weights[h, row] for row in state.read_order[h]}
    back, on = (
        keep(add_up(*(scale(w, matrix[row]) for row, w in last.items())), top_k)
        for matrix in (links.before, links.after))
    read = add_up(*map(scale, modes[h], (back, content, on)))
    state.read_words[h] = sum(w * state.memory[row] for row, w in read.items())
    kept = keep(read, top_k)
    state.read_order[h] = list(kept)
    state.read_weights[h] = 0
    state.read_weights[h, list(kept)] = list(kept.values())
    all_links.append(links)
  state.accesses[-1] = (
      state.read_weights.sum(0) + state.write_weights.sum(0) > delta)
  (layer,) = [v for k, v in params.items() if k.endswith("output")]
  features = np.concatenate([state.hidden, state.read_words.ravel()])
  return features @ layer["w"] + layer["b"], State(state, all_links)


def nonzero(dense) -> Weights:
  return {row: dense[row] for row in np.flatnonzero(dense).tolist()}
