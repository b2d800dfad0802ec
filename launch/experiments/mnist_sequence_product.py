"""Sequential MNIST, products (Madsen and Johansen 2020, arXiv 2001.05016, 4.3).

Running products of two digits from 1 to 9: their task, network and multiplying
cell, for two cores. They train with batches of 64, Adam at 1e-3, for 1000
epochs: --steps=860000 --lr_schedule=constant; and, beside the weights'
sparsity, penalise with R_z the outputs of the image network, which is not here.
Products of up to 20 digits are evaluated: look at `mse` relative to 9^20.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "mnist_sequence_product"
  config.core = "unit_rnn"
  config.unit = "nmu"
  config.core_args = {
      "unit_rnn": dict(hidden_size=1),
      "lstm": dict(hidden_size=100),
  }
  config.encoder_args = {"cnn": dict(output_size=1)}
  # Theirs rises from step 10,000 to 100,000.
  config.unit_settings = {"nmu": dict(
      penalty_weight=0.01, penalty_start=1_000, penalty_end=5_000)}
  config.steps = 10_000
  config.eval_every = 1_000
  config.batch_size = 64
  config.learning_rate = 1e-3
  config.lr_schedule = "cosine"
  return config
