"""MNIST parity (Trask et al. 2018, arXiv 1808.00508, section 4.6, Table 4).

Up to five digits in an image of 100 x 100 pixels, as in the paper; the last
layer of a convolutional network, on ReLU features, is the unit: --unit=linear
is the baseline, and with --unit.squash=sigmoid or tanh, and with or without
--unit.with_bias=False, the other rows of the table. For two cores the image
network is narrow at its end; the paper gives no sizes. With that of its other
experiments, and longer: --encoder.hidden_size=500 --steps=100000. Gradients are
clipped to norm 1.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "mnist_parity"
  config.core = "stack"
  config.unit = "nac"
  config.core_args = {"stack": dict(num_layers=1)}
  config.encoder_args = {"cnn": dict(hidden_size=64, output_layer=False)}
  config.steps = 10_000
  config.eval_every = 1_000
  config.batch_size = 16
  config.learning_rate = 1e-3
  config.lr_schedule = "cosine"
  return config
