"""Functions of numbers: Figure 1 and Table 1 of Trask et al. 2018."""

from launch.experiments.merging import Preset, merge


def nalu_identity() -> Preset:
  """Learns the identity on [-5, 5] and extrapolates to [-20, 20].

  Paper: Trask et al. 2018, arXiv 1808.00508, Figure 1.
  Data: none.

  Notes:
    A network of three hidden layers of 8 and 10,000 updates, as in the paper.
    One run for each activation of the figure:

      for activation in tanh relu elu
      do python -m launch.train --preset=nalu_identity_paper \
        --unit.activation=$activation --workdir=runs/identity/$activation
      done
      python -m launch.plot --x=variants --output=identity.png runs/identity/*

    `rmc_nalu_sam.units.linear.ACTIVATIONS` has the activations of the figure
    except PReLU, which has a parameter, and Threshold, whose two constants the
    paper does not give. --unit=nac and other units make the same network of
    that unit.

    The paper gives neither the optimiser, nor the batch size, nor the initial
    weights; the learning rate is quoted from memory. Here: Adam at 1e-2,
    batches of 64, Haiku's initial weights.
  """
  return dict(
      task="identity",
      core="stack",
      core_args={"stack": dict(num_layers=4, hidden_size=8)},
      unit="linear",
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-2)},
      max_grad_norm=0.,
      steps=10_000,
      batch_size=64,
      log_every=1_000,
      eval_every=2_000,
      eval_episodes=256,
  )


def nalu_identity_paper() -> Preset:
  """Learns the identity on [-5, 5] with 100 networks at once.

  Paper: Trask et al. 2018, arXiv 1808.00508, Figure 1.
  Data: none.

  Notes:
    The figure shows the mean of 100 networks. Everything else is as in
    `nalu_identity`.
  """
  return merge(nalu_identity(), dict(num_seeds=100))


def nalu_static() -> Preset:
  """Learns an operation on two sums of a vector's numbers.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 1, static.
  Data: none.

  Notes:
    The operations are add, sub, mul, div, square and sqrt; the units nalu,
    nac, linear ('None' in the table) and relu6:

      python -m launch.train --preset=nalu_static --unit=nalu \
        --operation=mul --num_seeds=10 --cpu_devices=2 \
        --workdir=runs/static/nalu-mul

    The score is the error in per cent of the error of a network at its random
    start (`scaled_score`), on the training range and on the test range.

    The paper gives neither sizes, nor ranges, nor the training. Chosen here:
    ten inputs, four in each sum, two of them in both; numbers in [0, 1] and,
    for the test, in [1, 5]; two layers with a hidden size of 2, or of 100 for
    the multilayer perceptron; 100,000 updates with batches of 128.
  """
  return dict(
      task="arithmetic",
      task_args={"arithmetic": dict(
          input_size=10, subset_ratio=0.4, overlap_ratio=0.5,
          train_range="0,1")},
      core="stack",
      core_args={"stack": dict(num_layers=2, hidden_size=2)},
      unit="nalu",
      unit_settings={
          "relu6": dict(core_args={"stack": dict(hidden_size=100)})},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      max_grad_norm=0.,
      steps=100_000,
      batch_size=128,
      log_every=1_000,
      eval_every=5_000,
      eval_episodes=1_024,
      checkpoint_every=10_000,
  )


def nalu_recurrent() -> Preset:
  """Learns an operation on two sums over a sequence of length 10.

  Paper: Trask et al. 2018, arXiv 1808.00508, Table 1, recurrent.
  Data: none.

  Notes:
    The test has sequences of length 100 and 1,000. A column of the paper's
    table is

      python -m launch.train --preset=nalu_recurrent --operation=mul \
        --unit=nalu --num_seeds=10 --cpu_devices=2 \
        --workdir=runs/recurrent/nalu-mul

    with --unit=nalu, --unit=nac, and, with --unit=linear, --core=lstm and
    --core=rnn (ReLU). The score is that of `nalu_static`.

    The paper gives neither sizes, nor ranges, nor the training; the task is as
    in `nalu_static`. Gradients are clipped, because those of sequences of
    products are large.
  """
  return dict(
      task="recurrent_arithmetic",
      core="unit_rnn",
      core_args={
          "unit_rnn": dict(hidden_size=2),
          "lstm": dict(hidden_size=32),
          "rnn": dict(hidden_size=32, activation="relu"),
      },
      unit="nalu",
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      steps=50_000,
      batch_size=128,
      log_every=1_000,
      eval_every=5_000,
      eval_episodes=256,
      checkpoint_every=10_000,
  )
