"""Handwritten digits: sections 4.2 and 4.6 of Trask et al. 2018 (1808.00508).
"""

from launch.experiments.merging import Preset, merge


def mnist_counting() -> Preset:
  """Counts how often each digit occurs in series of 1 to 10 images.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 2.
  Data: MNIST (four files).

  Notes:
    The convolutional network is the paper's (that of PyTorch's MNIST example),
    and so is the accumulating cell, whose state is the counts. The paper gives
    neither the batch size, nor the optimiser, nor the training time. The other
    cells: --core=lstm --unit=linear, --core=gru, --core=rnn. Gradients are
    clipped to norm 1, which the paper does not mention. Few series are
    evaluated, because series of 1,000 images take long; for length 1:
    python -m launch.evaluate --levels=1,10,100 --episodes=10000.

    `mnist_counting_paper` has series of length 10 alone. Counts then always
    sum to ten, and with digits read without an error the cell learnt an answer
    that is right at that length only.
  """
  return dict(
      task="mnist_counting",
      task_args={"mnist_counting": dict(min_length=1)},
      core="unit_rnn",
      core_args={
          "unit_rnn": dict(hidden_size=10),
          "gru": dict(hidden_size=100),
          "lstm": dict(hidden_size=100),
          "rnn": dict(hidden_size=100),
      },
      unit="nac",
      encoder_args={"cnn": dict(output_size=10)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=5e-3)},
      schedule="cosine",
      steps=10_000,
      eval_every=2_500,
      eval_episodes=64,
      batch_size=16,
  )


def mnist_counting_paper() -> Preset:
  """Counts how often each digit occurs in series of exactly 10 images.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 2.
  Data: MNIST (four files).

  Notes:
    10 is the length of the paper. `mnist_counting` lists what the paper leaves
    open. At a learning rate of 1e-3 the cell learnt nothing within 10,000
    updates.
  """
  return merge(mnist_counting(), dict(
      task_args={"mnist_counting": dict(min_length=10)}))


def mnist_addition() -> Preset:
  """Adds the digits of series of 1 to 10 images.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 2.
  Data: MNIST (four files).

  Notes:
    The target is the sum at the end of the series. The convolutional network
    and the accumulating cell are the paper's; one number a digit and the sum as
    the state are those of Madsen and Johansen's replication. The other cells:
    --core=lstm --unit=linear, --core=gru, --core=rnn. `mnist_counting` lists
    what the paper leaves open.
  """
  return merge(_with_task("mnist_addition", 1), dict(
      core_args={"unit_rnn": dict(hidden_size=1)},
      encoder_args={"cnn": dict(output_size=1)}))


def mnist_addition_paper() -> Preset:
  """Adds the digits of series of exactly 10 images, the paper's length.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 2.
  Data: MNIST (four files).

  Notes:
    Everything but the length is as in `mnist_addition`.
  """
  return merge(mnist_addition(), dict(
      task_args={"mnist_addition": dict(min_length=10)}))


def mnist_parity() -> Preset:
  """Counts the even digits of up to five in one image, for two CPU cores.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.6, Table 4.
  Data: MNIST (four files).

  Notes:
    Images have 100 x 100 pixels, as in the paper. The last layer of a
    convolutional network, on ReLU features, is the unit. --unit=linear is the
    baseline; --unit.squash=sigmoid or tanh, with or without
    --unit.with_bias=False, are the other rows of the table. The image network
    is narrow at its end, for two CPU cores. Gradients are clipped to norm 1.
    The paper gives no sizes.
  """
  return dict(
      task="mnist_parity",
      core="stack",
      core_args={"stack": dict(num_layers=1)},
      unit="nac",
      encoder_args={"cnn": dict(hidden_size=64, output_layer=False)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      schedule="cosine",
      steps=10_000,
      eval_every=1_000,
      batch_size=16,
  )


def mnist_parity_paper() -> Preset:
  """Counts the even digits of up to five in one image, with a wide network.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.6, Table 4.
  Data: MNIST (four files).

  Notes:
    The image network has the hidden size of the paper's other experiments, 500;
    100,000 updates are a choice made here. `mnist_parity` lists the rows of the
    table.
  """
  return merge(mnist_parity(), dict(
      encoder_args={"cnn": dict(hidden_size=500)}, steps=100_000))


def _with_task(task, min_length):
  """Returns `mnist_counting` with another task of series of digits."""
  preset = merge(mnist_counting(), dict(task=task))
  return preset | dict(task_args={task: dict(min_length=min_length)})
