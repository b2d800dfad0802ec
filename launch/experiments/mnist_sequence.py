"""Sequential MNIST: section 4.3 of Madsen and Johansen 2020 (2001.05016).

Their criterion of a success is the error of a network whose cell adds, or
multiplies, exactly (`--unit.solved`):

  for run in solved=--unit.solved nau= nac=--unit=nac
  do python -m launch.train --preset=mnist_sequence_sum --num_seeds=10 \
    --data_dir=$data ${run#*=} --workdir=runs/sum/${run%%=*}
  done
  python -m launch.compare --reference=runs/sum/solved runs/sum/n??

For products the units are nmu and nac_mul_nmu.
"""

from launch.experiments.merging import Preset, merge


def mnist_sequence_sum() -> Preset:
  """Learns all running sums of ten digits, for two CPU cores.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.3.
  Data: MNIST (four files).

  Notes:
    Task, network and accumulating cell are the paper's. Different from the
    paper: fewer and smaller batches, a falling learning rate, gradients clipped
    to norm 1, a penalty of less weight that begins earlier. R_z, the input
    penalty, holds back the weights of inputs that the cell does not use yet.
  """
  return merge(_sequence("mnist_sequence_sum", "nau"), dict(
      unit_settings={"nac": _penalty(input_weight=1.), "nau": _sparse()},
      eval_every=2_500,
      eval_episodes=64,
      batch_size=16,
  ))


def mnist_sequence_product() -> Preset:
  """Learns running products of two digits from 1 to 9, for two CPU cores.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.3.
  Data: MNIST (four files).

  Notes:
    Task, network and multiplying cell are the paper's. Different from the
    paper: fewer batches, a falling learning rate, gradients clipped to norm 1,
    a penalty of less weight that begins earlier. R_z, the input penalty, holds
    back the weights of inputs that the cell does not use yet. Products of up to
    20 digits are evaluated: compare `mse` with 9^20.
  """
  return merge(_sequence("mnist_sequence_product", "nmu"), dict(
      unit_settings={"nac_mul_nmu": _sparse(), "nmu": _sparse()},
      eval_every=1_000,
      batch_size=64,
  ))


def mnist_sequence_sum_paper() -> Preset:
  """Learns running sums with the paper's batches, updates and penalty.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.3.
  Data: MNIST (four files).

  Notes:
    1,000 epochs of 5,500 series are 86,000 updates of batch 64.
  """
  return merge(mnist_sequence_sum(), dict(
      unit_settings={"nau": _late()},
      schedule="constant",
      max_grad_norm=0.,
      steps=86_000,
      batch_size=64,
  ))


def mnist_sequence_product_paper() -> Preset:
  """Learns running products with the paper's updates and penalty.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.3.
  Data: MNIST (four files).

  Notes:
    1,000 epochs of about 24,800 series are 388,000 updates of batch 64.
  """
  return merge(mnist_sequence_product(), dict(
      unit_settings={"nac_mul_nmu": _late(), "nmu": _late()},
      schedule="constant",
      max_grad_norm=0.,
      steps=388_000,
  ))


def _sequence(task, unit):
  """Returns what sums and products have in common."""
  return dict(
      task=task,
      core="unit_rnn",
      core_args={
          "unit_rnn": dict(hidden_size=1),
          "lstm": dict(hidden_size=100),
      },
      unit=unit,
      # Haiku's initial weights are too wide: a seed can settle on the negatives
      # of the digits, whose products of two are right.
      encoder_args={"cnn": dict(output_size=1, torch_init=True)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      schedule="cosine",
      steps=10_000,
  )


def _penalty(**arguments):
  return dict(penalty="discrete", penalty_args={"discrete": arguments})


def _sparse():
  return _penalty(weight=0.01, start=1_000, end=5_000, input_weight=1.)


def _late():
  return _penalty(weight=10., start=10_000, end=100_000)
