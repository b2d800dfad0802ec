"""Relational reasoning: section 4.1 of Santoro et al. 2018 (1806.01822)."""

from launch.experiments.merging import Preset, merge


def nth_farthest() -> Preset:
  """Finds the n-th farthest of 4 vectors of 4 dimensions, for two CPU cores.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.1.
  Data: none.

  Notes:
    The paper's four ReLU layers of 256 follow every core. For a long time
    networks learn only that the last of all is the vector itself, an accuracy
    of 2 / num_objects. Gradients are clipped to norm 1. The paper's size is
    `nth_farthest_paper`.
  """
  return dict(
      task="nth_farthest",
      task_args={"nth_farthest": dict(num_objects=4, num_dims=4)},
      core="rmc",
      core_args={
          "rmc": dict(num_slots=4, head_size=16, num_heads=4),
          "lstm": dict(hidden_size=256),
          "dnc": dict(hidden_size=128, num_slots=8, word_size=32,
                      num_read_heads=1),
      },
      unit="mlp",
      unit_args={"mlp": dict(hidden_size=256, num_layers=4)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=3e-4)},
      steps=20_000,
      eval_every=1_000,
      eval_episodes=4096,
      batch_size=256,
  )


def nth_farthest_paper() -> Preset:
  """Finds the n-th farthest of 8 vectors of 16 dimensions: the paper's size.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.1.
  Data: none.

  Notes:
    The paper searched over sizes; these are one choice out of its ranges: RMC
    with 1, 8 or 16 slots and heads (2,048 numbers of memory in all), LSTM with
    64 to 4,096 units, DNC with 1, 8 or 16 slots and a controller of 2 layers.
    Gradients are not clipped.
  """
  return merge(nth_farthest(), dict(
      task_args={"nth_farthest": dict(num_objects=8, num_dims=16)},
      core_args={
          "rmc": dict(num_slots=8, num_heads=8, head_size=32),
          "lstm": dict(hidden_size=2048),
          "dnc": dict(num_slots=8, word_size=128, hidden_size=128,
                      num_layers=2),
      },
      optimizer_args={"adam": dict(learning_rate=1e-4)},
      max_grad_norm=0.,
      batch_size=1600,
      steps=1_000_000,
  ))
