"""Sequential MNIST, products (Madsen and Johansen 2020, arXiv 2001.05016, 4.3).

Running products of two digits from 1 to 9: their task, network and multiplying
cell, for two cores: fewer batches, a falling learning rate, gradients of at
most norm 1, and a penalty of less weight and that sets in earlier. Theirs, 1000
epochs of some 24,800 series:

  --steps=388000 --lr_schedule=constant --max_grad_norm=0 --penalty_weight=10 \
    --penalty_start=10000 --penalty_end=100000

R_z keeps what the cell does not look at yet from going astray. Products of up
to 20 digits are evaluated: look at `mse` relative to 9^20.

Their criterion of a success is the error of a network whose cell multiplies
exactly:

  for run in solved=--unit.solved nmu= nac=--unit=nac_mul_nmu
  do python -m launch.train --preset=mnist_sequence_product --num_seeds=10 \
    --data_dir=$data ${run#*=} --workdir=runs/product/${run%%=*}
  done
  python -m launch.compare --reference=runs/product/solved runs/product/n??
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
  # Haiku's start is too wide: a seed can settle on the digits' negatives, whose
  # products of two are right.
  config.encoder_args = {"cnn": dict(output_size=1, torch_init=True)}
  sparse = dict(penalty_weight=0.01, penalty_start=1_000, penalty_end=5_000,
                input_penalty_weight=1.)
  config.unit_settings = {"nac_mul_nmu": sparse, "nmu": sparse}
  config.steps = 10_000
  config.eval_every = 1_000
  config.batch_size = 64
  config.learning_rate = 1e-3
  config.lr_schedule = "cosine"
  return config
