"""MNIST counting (Trask et al. 2018, arXiv 1808.00508, Table 2).

Series of up to ten digits, ten counts, with the paper's convolutional network
(that of PyTorch's MNIST example) and its accumulating cell, whose state is the
counts. The paper trains at length 10 alone (--task.min_length=10), and gives
neither batch nor optimiser nor the time trained. There counts always sum to
ten, and with digits read without an error the cell learnt an answer that holds
at that length only; and it learnt nothing within 10,000 updates at a rate of
1e-3. The other cells: --core=lstm --unit=linear, --core=gru, --core=rnn. Few
series are evaluated, since those of 1000 images take long; for length 1,
python -m launch.evaluate --levels=1,10,100 --episodes=10000. Gradients are
clipped to norm 1, of which the paper says nothing.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "mnist_counting"
  config.task_args = {"mnist_counting": dict(min_length=1)}
  config.core = "unit_rnn"
  config.unit = "nac"
  config.core_args = {
      "unit_rnn": dict(hidden_size=10),
      "gru": dict(hidden_size=100),
      "lstm": dict(hidden_size=100),
      "rnn": dict(hidden_size=100),
  }
  config.encoder_args = {"cnn": dict(output_size=10)}
  config.steps = 10_000
  config.eval_every = 2_500
  config.eval_episodes = 64
  config.batch_size = 16
  config.learning_rate = 5e-3
  config.lr_schedule = "cosine"
  return config
