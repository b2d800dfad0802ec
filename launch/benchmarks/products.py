"""Measures the products of queries and words: the bound of exact search."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from launch.benchmarks import measure

CORE = "products"  # In place of a core's name in a `Case`.


class Products:
  """Computes one product of queries and memory per step; a `measure.Timed`."""

  def __init__(self, case: measure.Case):
    """Compiles a case; allocates no array that grows with the slots."""
    self.case = case
    arguments = dict(case.core_args)
    batch_size, word_size = case.batch_size, arguments["word_size"]
    self._queries = jax.random.normal(jax.random.key(0), [
        case.num_steps, batch_size, arguments["num_heads"], word_size])
    memory = jax.ShapeDtypeStruct(
        (batch_size, case.num_slots, word_size), jnp.float32)
    self._compiled = jax.jit(self._call).lower(
        self._queries, memory).compile()
    analysis: Any = self._compiled.memory_analysis()
    self.memory = measure.Memory(memory.size * memory.dtype.itemsize,
                                 analysis.temp_size_in_bytes)
    self._rows = memory

  def _call(self, queries, memory):
    def step(carry, queries):
      products = jnp.einsum("bhw,bnw->bhn", queries, memory)
      # Only one is used, but XLA computes them all.
      return carry + products[:, :, 0].sum(), None

    return jax.lax.scan(step, jnp.zeros(()), queries)[0]

  def prepare(self) -> None:
    """Allocates the memory."""
    self._rows = jax.jit(lambda: jax.random.normal(
        jax.random.key(2), self._rows.shape))()
    self.run()

  def run(self) -> float:
    """Calls it once, and returns the seconds."""
    start = time.perf_counter()
    jax.block_until_ready(self._compiled(self._queries, self._rows))
    return time.perf_counter() - start

  def release(self) -> None:
    """Frees the memory."""
    self._rows = jax.ShapeDtypeStruct(self._rows.shape, self._rows.dtype)
