"""Gradient accumulation: a share of a batch in parts, one after the other.

Each part is drawn, unrolled and differentiated by itself, so that the
activations of one part only are in memory. The result is that of the whole
share, but for the order of float32 sums.

Letters: K parts, B episodes of a batch on one device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from launch.learning.layout import Share

Metrics = dict[str, jax.Array]


class Division(NamedTuple):
  """Describes metrics that are sums over a batch divided by a sum over it.

  They are means over targets or steps, not over episodes. A part with few
  targets counts for less in them, and in the gradients.

  Attributes:
    by: name of a metric that is proportional to the divisor, a mean over the
      episodes of a share; empty if all metrics are means over episodes.
    of: names of the metrics that are divided.
  """

  by: str = ""
  of: tuple[str, ...] = ()


def over_parts(
    of_share: Callable[[Any, Share], tuple[Any, Metrics, Any]], params: Any,
    source_state: Any, share: Share, num_parts: int, division: Division
    ) -> tuple[Any, Metrics, Any]:
  """Returns gradients, metrics and source state of a share, from its parts.

  Args:
    of_share: `(source state, share) -> (gradients, metrics, source states)`.
    params: of the network; they have the gradients' shapes.
    source_state: of the share; its arrays have an axis `[B]`, K divides B.
    share: of the batch.
    num_parts: K.
    division: which metrics are no means over episodes.
  """
  if num_parts == 1:
    return of_share(source_state, share)

  def one(sums, part):
    index, state = part
    gradients, metrics, state = of_share(
        state, part_of(share, index, num_parts))
    weight = _weight(metrics, share, division)
    sums = jax.tree.map(lambda x, y: x + weight * y, sums, gradients)
    return sums, (metrics, weight, state)

  sums, (metrics, weights, states) = jax.lax.scan(
      one, jax.tree.map(jnp.zeros_like, params),
      (jnp.arange(num_parts), _split(source_state, num_parts)))
  means = {name: jnp.average(x, weights=weights) if name in division.of
           else jnp.mean(x) for name, x in metrics.items()}
  gradients = jax.tree.map(lambda x: x / weights.sum(), sums)
  return gradients, means, _join(states)


def part_of(share: Share, index: Any, num_parts: int) -> Share:
  """Returns part number `index` of a share; its mean is over the shares.

  Args:
    share: of a batch.
    index: from 0 on.
    num_parts: K.
  """
  return Share(share.part * num_parts + index, share.num_parts * num_parts,
               share.mean)


def _weight(metrics, share, division):
  """Returns what a part counts for, the same on all shares and above 0."""
  if not division.by:
    return jnp.ones(())
  # Without this, a batch without a target would have no gradient of penalties.
  return share.mean(metrics[division.by]) + 1e-9


def _split(tree, num_parts):
  return jax.tree.map(lambda x: x.reshape(
      num_parts, len(x) // num_parts, *x.shape[1:]), tree)


def _join(tree):
  return jax.tree.map(
      lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), tree)
