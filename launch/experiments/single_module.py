"""A single unit on two numbers: the benchmark of the Primer (2101.09530)."""

from launch.experiments.merging import Preset, merge


def arithmetic_module() -> Preset:
  """Learns a + b, a - b, a * b or a / b with one unit, 32 seeds at once.

  Paper: "A Primer for Neural Arithmetic Logic Modules", Mistry, Farrahi and
    Hare 2022, arXiv 2101.09530.
  Data: none.

  Notes:
    50,000 updates with batches of 128, Adam at 1e-3, on nine ranges:

      for range in -20,-10 -2,-1 -1.2,-1.1 -0.2,-0.1 -2,2 0.1,0.2 1,2 1.1,1.2 \
        10,20
      do python -m launch.train --preset=arithmetic_module --unit=nmu \
        --operation=mul --task.train_range=$range \
        --workdir=runs/module/nmu$range --cpu_devices=2
      done

    The range of the test follows from the range of the training. The paper has
    25 seeds; 32 are a number that devices can share.

    The settings of the units are those of the paper's public code, with two
    exceptions. The penalty on the weights of Real NPU and NPU grows linearly to
    the authors' last value; theirs is multiplied by ten every 10,000 updates.
    The penalty of iNALU begins after 10,000 updates; theirs also waits for an
    error below 1, and they re-initialise an iNALU that does not learn, which is
    left out. The settings of NMRU are those of the code of the paper that
    introduces it (arXiv 2110.05177), with the weight of NMU's penalty.
  """
  late = dict(start=20_000, end=35_000)
  powers = dict(
      optimizer_args={"adam": dict(learning_rate=5e-3)},
      **_penalty(weight=1e-5, start=0, end=20_000))
  inalu = dict(max_grad_value=0.1,
               **_penalty(weight=0.05, start=10_000, end=10_000))
  return dict(
      task="arithmetic",
      task_args={"arithmetic": dict(
          operation="add", input_size=2, subset_ratio=0.5, overlap_ratio=0.,
          criterion="module")},
      core="stack",
      core_args={"stack": dict(num_layers=1)},
      unit="nau",
      unit_settings={
          "inalu": inalu,
          "inalu_shared": inalu,
          "naive_npu": powers,
          "nau": _penalty(weight=0.01, **late),
          "nmru": dict(optimizer_args={"adam": dict(learning_rate=1e-2)},
                       max_grad_norm=1., **_penalty(weight=10., **late)),
          "nmu": _penalty(weight=10., **late),
          "npu": powers,
          "real_npu": powers,
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      max_grad_norm=0.,
      num_seeds=32,
      steps=50_000,
      batch_size=128,
      log_every=1_000,
      eval_every=1_000,
      eval_episodes=1_024,
      checkpoint_every=10_000,
  )


def arithmetic_module_paper() -> Preset:
  """Learns an operation on two numbers with one unit, 25 seeds at once.

  Paper: "A Primer for Neural Arithmetic Logic Modules", Mistry, Farrahi and
    Hare 2022, arXiv 2101.09530.
  Data: none.

  Notes:
    Needs a number of devices that divides 25. Everything else is as in
    `arithmetic_module`.
  """
  return merge(arithmetic_module(), dict(num_seeds=25))


def arithmetic_module_division() -> Preset:
  """Learns a / b with one unit, with the smaller penalty on powers.

  Paper: "A Primer for Neural Arithmetic Logic Modules", Mistry, Farrahi and
    Hare 2022, arXiv 2101.09530.
  Data: none.

  Notes:
    The authors' last weight of the penalty on the weights of Real NPU and NPU
    is 1e-7 for a division. Everything else is as in `arithmetic_module`.
  """
  powers = _penalty(weight=1e-7)
  return merge(arithmetic_module(), dict(
      task_args={"arithmetic": dict(operation="div")},
      unit="real_npu",
      unit_settings={"naive_npu": powers, "npu": powers, "real_npu": powers}))


def _penalty(**arguments):
  return dict(penalty="discrete", penalty_args={"discrete": arguments})
