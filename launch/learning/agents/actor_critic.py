"""An actor-critic with V-trace: the loss of an unroll.

Letters: T steps of an unroll, B environments on one device, A actions.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

import tasks
from launch.learning.agents import acting, playing
from launch.learning.agents.acting import Trajectory
from launch.learning.agents.vtrace import vtrace
from launch.learning.layout import Share
from launch.learning.updates.accumulation import Division
from launch.learning.varied import is_on, is_traced
from rmc_nalu_sam import Model

STEPS_OF_A_LEVEL = 10  # Episodes are seldom shorter.


@dataclasses.dataclass(frozen=True)
class ActorCritic:
  """Learns policy and values from the steps of its own policy.

  Espeholt et al. 2018, "IMPALA", arXiv 1802.01561, section 4.

  Notes:
    Acting and learning use the same parameters, so that all ratios of V-trace
    are 1 (but for a dropout, which only learning has), and its targets are
    those of an n-step actor-critic. The loss is a mean over steps; in IMPALA it
    is a sum over the steps and environments of a batch.

  Attributes:
    unroll_length: Steps of each environment in an update, over which gradients
      flow.
    discount: Factor on the rewards of each later step.
    entropy_cost: Weight of the policy's entropy, which keeps it from becoming
      certain too early.
    baseline_cost: Weight of the error of the values.
    trace_decay: Lambda of V-trace; below 1, values count for more.
    reward_clip: Rewards are cut to this magnitude in the network's input and in
      the loss; 0 switches it off. Reported returns are not cut.
    ready_levels: Levels made for each environment before an unroll, where
      making one is costly; 0 for one per 10 steps, rounded up.
    DIVISION: Which metrics of `mean_loss` are means over steps that count.
  """

  DIVISION: ClassVar[Division] = Division(
      "acting", ("loss", "policy_loss", "value_loss", "entropy"))

  unroll_length: int = 20
  discount: float = 0.99
  entropy_cost: float = 0.01
  baseline_cost: float = 0.5
  trace_decay: float = 1.
  reward_clip: float = 0.
  ready_levels: int = 0

  def __post_init__(self):
    if self.unroll_length < 1 or self.ready_levels < 0:
      raise ValueError(
          "need unroll_length >= 1 and ready_levels >= 0, got unroll_length="
          f"{self.unroll_length} and ready_levels={self.ready_levels}")
    for name in ("discount", "trace_decay"):
      value = getattr(self, name)
      if not is_traced(value) and not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}")
    for name in ("entropy_cost", "baseline_cost", "reward_clip"):
      value = getattr(self, name)
      if not is_traced(value) and not value >= 0:
        raise ValueError(f"{name} must be 0 (off) or above, got {value}")

  @property
  def num_ready_levels(self) -> int:
    """Levels that are made for each environment before an unroll."""
    return self.ready_levels or -(-self.unroll_length // STEPS_OF_A_LEVEL)

  def clip(self, rewards: jax.Array) -> jax.Array:
    """Returns rewards as they are in the network's input and in the loss."""
    if not is_on(self.reward_clip):
      return rewards
    cut = jnp.clip(rewards, -self.reward_clip, self.reward_clip)
    return jnp.where(self.reward_clip > 0, cut, rewards)

  def mean_loss(self, model: Model, params: Any, rng: Any, start: None,
                batch: Trajectory, task: tasks.Task, share: Share
                ) -> tuple[jax.Array, dict[str, jax.Array], Any]:
    """Returns the mean loss of a step, metrics, and the core's last state.

    The mean over shares of the losses is the mean over all steps that count.

    Args:
      model: the network.
      params: of the network.
      rng: reaches the network.
      start: nothing.
      batch: the unroll.
      task: the environment.
      share: of the environments.
    """
    del start, task
    unrolled = model.unroll(params, rng, batch.inputs, batch.start,
                            resets=batch.is_first)
    outputs = unrolled.outputs.astype(jnp.float32)
    logs, values = acting.log_policy(outputs[:-1]), outputs[..., -1]
    log_probs = acting.log_prob_of(logs, batch.actions)
    found = jax.lax.stop_gradient(vtrace(
        values, self.clip(batch.rewards),
        self.discount * (1. - batch.terminated),
        # No policy leads from the last observation to a new episode.
        jnp.exp(log_probs - batch.log_probs) * batch.mask,
        trace_decay=self.trace_decay))
    steps = share.mean(batch.mask.sum())
    mean = lambda x: (x * batch.mask).sum() / jnp.maximum(steps, 1)  # noqa: E731
    parts = {
        "policy_loss": mean(-found.advantages * log_probs),
        "value_loss": mean(jnp.square(found.targets - values[:-1]) / 2),
        "entropy": mean(-(jnp.exp(logs) * logs).sum(-1))}
    loss = (parts["policy_loss"] + self.baseline_cost * parts["value_loss"]
            - self.entropy_cost * parts["entropy"])
    metrics = {"loss": loss, **parts, "acting": batch.mask.mean(),
               **jax.tree.map(jnp.mean, batch.episodes)}
    return loss, metrics, unrolled.state

  def mean_of_episodes(self, model: Model, params: Any, key: jax.Array,
                       task: tasks.Environment, num_episodes: int,
                       batch_size: int, share: Share) -> dict[str, jax.Array]:
    """Returns this share's sums over played episodes; see `playing.play`.

    Args:
      model: the network.
      params: of the network.
      key: draws the episodes, each from its number.
      task: the environment.
      num_episodes: how many.
      batch_size: episodes at once, over all shares.
      share: of the episodes.
    """
    size = -(-batch_size // share.num_parts)

    def one(_, index):
      numbers = (index * share.num_parts + share.part) * size + jnp.arange(size)
      keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
      found = playing.play(model, params, keys, task, self.clip)
      return None, jax.tree.map(
          lambda x: jnp.where(numbers < num_episodes, x, 0).sum(), found)

    num_batches = -(-num_episodes // (size * share.num_parts))
    _, sums = jax.lax.scan(one, None, jnp.arange(num_batches))
    return jax.tree.map(jnp.sum, sums)


AGENTS: Mapping[str, Callable[..., ActorCritic]] = {"actor_critic": ActorCritic}
