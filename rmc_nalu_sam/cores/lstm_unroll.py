"""All steps of an LSTM layer at once, at less cost than one by one.

Letters: T time, B batch, F inputs, H units. Dots stand for batch axes.
"""

import functools

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arrays import Rows, choose_rows, merge_last
from rmc_nalu_sam.cores import mogrifier
from rmc_nalu_sam.cores.mogrifier import Cell, Weights
from rmc_nalu_sam.relational.layers import Affine, affine


def unroll(weights: Weights, cell: Cell, inputs: jax.Array | Rows,
           state: hk.LSTMState, resets: jax.Array | None = None
           ) -> tuple[jax.Array, hk.LSTMState]:
  """Returns the outputs `[T, ..., H]` and the state after the last step.

  Without gates before the LSTM, it multiplies the inputs of all steps by their
  weights at once, and so the gradients of the recurrent weights. That has no
  derivative in forward mode. Where the inputs are rows of a table, it
  multiplies the table in place of the inputs.

  Args:
    weights: of the layer.
    cell: of the layer.
    inputs: `[T, ..., F]`, or rows of that shape.
    state: before the first step.
    resets: `[T, ...]` bool, whether the state is zeros before a step, as an
      initial one; None for never.
  """
  if weights.rounds:
    if isinstance(inputs, Rows):
      inputs = inputs.take()
    return _unroll_steps(weights, cell, inputs, state, resets)
  (w, b), num_inputs = weights.gates, inputs.shape[-1]
  gates = _of_inputs(Affine(w[:num_inputs], b), inputs)
  outputs, *state = _recur(
      cell, narrow.current(), w[num_inputs:], gates, *state, resets)
  return outputs, hk.LSTMState(*state)


def _of_inputs(layer, inputs):
  """Returns a layer's outputs `[T, ..., 4 H]`."""
  if isinstance(inputs, Rows):
    return Rows(affine(layer, inputs.table), inputs.numbers).take()
  return affine(layer, inputs)


def _unroll_steps(weights, cell, inputs, state, resets):
  def step(state, of_step):
    inputs, resets = of_step
    return mogrifier.step(
        weights, cell, inputs, _restart(resets, state))[::-1]

  state, outputs = jax.lax.scan(step, state, (inputs, resets))
  return outputs, state


def _restart(resets, state):
  """Returns the state with zeros in the rows that are reset."""
  if resets is None:
    return state
  return choose_rows(resets, jax.tree.map(jnp.zeros_like, state), state)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recur(cell, dtype, w, inputs, hidden, last_cell, resets):
  """Returns the outputs `[T, ..., H]`, and the last output and cell.

  Args:
    cell: of the layer.
    dtype: of the products' operands, see `narrow.current`.
    w: the recurrent weights, `[H, 4 H]`.
    inputs: the inputs' part of the gates, `[T, ..., 4 H]`.
    hidden: output before the first step, `[..., H]`.
    last_cell: cell before the first step, `[..., H]`.
    resets: of `unroll`.
  """
  return _forward(cell, dtype, w, inputs, hidden, last_cell, resets)[0]


def _forward(cell, dtype, w, inputs, hidden, last_cell, resets):
  def step(state, of_step):
    inputs, resets = of_step
    hidden, last_cell = before = _restart(resets, state)
    gates = cell.gates(inputs + narrow.matmul_in(dtype, hidden, w))
    state = cell.next(gates, last_cell)
    return state, (state[0], gates, before)

  last, (outputs, gates, before) = jax.lax.scan(
      step, (hidden, last_cell), (inputs, resets))
  return (outputs, *last), (w, gates, before, resets)


def _backward(cell, dtype, saved, cotangents):
  w, gates, (hidden, cells), resets = saved
  outputs_bar, *last_bar = cotangents
  w_t = w.T  # Within the loop, a product by a transposed matrix is slower.

  def step(of_state, of_step):
    output_bar, gates, last_cell, resets = of_step
    hidden_bar, cell_bar = of_state
    _, pull = jax.vjp(cell.next, gates, last_cell)
    gates_bar, cell_bar = pull((hidden_bar + output_bar, cell_bar))
    inputs_bar = jnp.concatenate(
        list(map(jnp.multiply, gates_bar, gates.slopes())), axis=-1)
    hidden_bar = narrow.matmul_in(dtype, inputs_bar, w_t)
    return _restart(resets, (hidden_bar, cell_bar)), inputs_bar

  state_bar, inputs_bar = jax.lax.scan(
      step, tuple(last_bar), (outputs_bar, gates, cells, resets), reverse=True)
  # The product for all steps: one after the other, they take far longer.
  w_bar = narrow.matmul_in(
      dtype, merge_last(hidden.reshape(-1, 1, w.shape[0])).T,
      inputs_bar.reshape(-1, w.shape[1]))
  return w_bar, inputs_bar, *state_bar, None


_recur.defvjp(_forward, _backward)
