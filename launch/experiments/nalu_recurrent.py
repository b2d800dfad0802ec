"""Recurrent simple function learning, Table 1 of the NALU paper (1808.00508).

Trained on sequences of length 10, tested on 100 and 1,000. The paper's columns
are

  python -m launch.train --preset=nalu_recurrent --operation=mul --unit=nalu \
    --num_seeds=10 --cpu_devices=2 --workdir=runs/recurrent/nalu-mul

with --unit=nalu, --unit=nac, and, with --unit=linear, --core=lstm and
--core=rnn (ReLU). The score is that of nalu_static.

The paper gives no sizes, ranges or training; the task is as in nalu_static.
Gradients are clipped, since sequences of products have large ones.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "recurrent_arithmetic"
  config.core = "unit_rnn"
  config.core_args = {
      "unit_rnn": dict(hidden_size=2),
      "lstm": dict(hidden_size=32),
      "rnn": dict(hidden_size=32, activation="relu"),
  }
  config.unit = "nalu"
  config.steps = 50_000
  config.batch_size = 128
  config.learning_rate = 1e-3
  config.log_every = 1_000
  config.eval_every = 5_000
  config.eval_episodes = 256
  config.checkpoint_every = 10_000
  return config
