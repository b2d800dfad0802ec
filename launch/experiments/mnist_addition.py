"""MNIST addition (Trask et al. 2018, arXiv 1808.00508, Table 2).

Series of up to ten digits, the sum asked for at the end, with the paper's
convolutional network and its accumulating cell, here with one number a digit
and the sum as its state, as in Madsen and Johansen's replication. The paper
trains at length 10 alone: --task.min_length=10. The other cells: --core=lstm
--unit=linear, --core=gru, --core=rnn. As in mnist_counting, more series of
short lengths are evaluated with launch.evaluate, and gradients clipped.
"""

import ml_collections

from launch.experiments import mnist_counting


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = mnist_counting.get_config()
  config.task = "mnist_addition"
  config.task_args = {"mnist_addition": dict(min_length=1)}
  config.core_args.unit_rnn.hidden_size = 1
  config.encoder_args.cnn.output_size = 1
  return config
