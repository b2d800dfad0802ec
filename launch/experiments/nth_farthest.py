"""Nth farthest (Santoro et al. 2018, arXiv 1806.01822, section 4.1), small.

Four vectors of 4 dimensions: for two cores. All cores are followed by the
paper's four ReLU layers of 256. For long, networks know no more than that the
last of all is the vector itself: an accuracy of 2 / num_objects. One of the
paper's sizes, with its batch and learning rate, and without the clipping of
gradients to norm 1 that there is here: --task.num_objects=8 --task.num_dims=16
--core.num_slots=8 --core.num_heads=8 --core.head_size=32 --batch_size=1600
--learning_rate=1e-4 --max_grad_norm=0 --steps=1000000; its LSTM: --core=lstm
--core.hidden_size=2048; its DNC: --core=dnc --core.num_slots=8
--core.word_size=128 --core.hidden_size=128 --core.num_layers=2.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "nth_farthest"
  config.task_args = {"nth_farthest": dict(num_objects=4, num_dims=4)}
  config.core = "rmc"
  config.core_args = {
      "rmc": dict(num_slots=4, head_size=16, num_heads=4),
      "lstm": dict(hidden_size=256),
      "dnc": dict(hidden_size=128, num_slots=8, word_size=32, num_read_heads=1),
  }
  config.unit = "mlp"
  config.unit_args = {"mlp": dict(hidden_size=256, num_layers=4)}
  config.steps = 20_000
  config.eval_every = 1_000
  config.eval_episodes = 4096
  config.batch_size = 256
  config.learning_rate = 3e-4
  return config
