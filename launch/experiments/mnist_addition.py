"""MNIST addition (Trask et al. 2018, arXiv 1808.00508, Table 2).

Series of ten digits, the sum asked for at the end: the paper's task, its
convolutional network and its accumulating cell, here with one number a digit
and the sum as its state, as in Madsen and Johansen's replication. The other
cells: --core=lstm --unit=linear, --core=gru, --core=rnn. As in mnist_counting,
more series of short lengths are evaluated with launch.evaluate.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "mnist_addition"
  config.core = "unit_rnn"
  config.unit = "nac"
  config.core_args = {
      "unit_rnn": dict(hidden_size=1),
      "gru": dict(hidden_size=100),
      "lstm": dict(hidden_size=100),
      "rnn": dict(hidden_size=100),
  }
  config.encoder_args = {"cnn": dict(output_size=1)}
  config.steps = 10_000
  config.eval_every = 2_500
  config.eval_episodes = 64
  config.batch_size = 16
  config.learning_rate = 1e-3
  config.lr_schedule = "cosine"
  return config
