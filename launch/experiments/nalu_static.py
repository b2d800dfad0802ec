"""Static simple function learning, Table 1 of the NALU paper (1808.00508).

The operations are add, sub, mul, div, square and sqrt; the units nalu, nac,
linear ('None' in the table) and relu6:

  python -m launch.train --preset=nalu_static --unit=nalu --operation=mul \
    --num_seeds=10 --cpu_devices=2 --workdir=runs/static/nalu-mul

The score is the error in per cent of that of a network at its random start
(`launch.success.scaled_score`), on the training's range and on the test's.

The paper gives no sizes, ranges or training; chosen here are ten inputs, four
in each sum, two of them in both, numbers in [0, 1] and, for the test, in
[1, 5]; two layers with a hidden size of 2, of 100 for the multilayer
perceptron; and 100,000 updates with batches of 128.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "arithmetic"
  config.task_args = {"arithmetic": dict(
      input_size=10, subset_ratio=0.4, overlap_ratio=0.5, train_range="0,1")}
  config.core = "stack"
  config.core_args = {"stack": dict(num_layers=2, hidden_size=2)}
  config.unit = "nalu"
  config.unit_settings = {
      "relu6": dict(core_args={"stack": dict(hidden_size=100)})}
  config.steps = 100_000
  config.batch_size = 128
  config.learning_rate = 1e-3
  config.max_grad_norm = 0.
  config.log_every = 1_000
  config.eval_every = 5_000
  config.eval_episodes = 1_024
  config.checkpoint_every = 10_000
  return config
