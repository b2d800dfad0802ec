"""Writes one page about a run: what, data, budget, figures and pictures.

  python -m launch.describe --workdir=runs/copy

writes card.md into the workdir. The figures are those of launch.evaluate, if it
has evaluated the newest checkpoint, else those of the training's last
evaluation. Runs of many seeds, sweeps, texts and agents have a card, too. The
data of the run are not needed.

  python -m launch.describe --workdir=runs/copy --export=my_copy \\
      --folder=networks --about="Copies vectors."

makes a network for others: my_copy.npz has the parameters of the best seed, at
most 1 MB of float32, and my_copy.json the card, with figures that are measured
anew. `rmc_nalu_sam.trained.load(folder, "my_copy")` loads it, and executes
nothing in it. Without --folder it becomes one of the networks of
`rmc_nalu_sam.pretrained` in this checkout.

  python -m launch.describe --pages

writes docs/pretrained.md and a page for each of these networks.
"""

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from launch.cards import catalogue, export, facts, page
from launch.configs import endings, numbers
from launch.configs import flags as flags_lib
from launch.configs.config import UsageError
from launch.runs import Run, reporting
from tasks.data import replacing

FLAGS = flags.FLAGS
CARD_FILE = "card.md"


def describe(run: Run, output: pathlib.Path) -> None:
  """Writes the card of a run.

  Args:
    run: that was evaluated at least once.
    output: the page to write.

  Raises:
    UsageError: the run was not evaluated, or the page cannot be written.
  """
  card = facts.of_run(run)
  # Links are relative, so that the folders can be moved together.
  card["pictures"] = [
      pathlib.Path(os.path.relpath(run.workdir / name, output.parent)
                   ).as_posix() for name in card["pictures"]]
  _write(output, page.render(card))


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  if FLAGS.pages:
    print(*catalogue.write(), sep="\n")
    return
  if not FLAGS.workdir:
    raise UsageError("--workdir is missing: name the folder of a run")
  workdir = pathlib.Path(FLAGS.workdir).expanduser().absolute()
  run = Run(workdir)
  if FLAGS.data_dir is not None:
    run.config.data_dir = FLAGS.data_dir
  if FLAGS.export:
    print(page.render(_export(run)), end="")
    return
  output = pathlib.Path(FLAGS.output or workdir / CARD_FILE).expanduser()
  describe(run, output.absolute())
  print(output)


def _export(run: Run):
  folder = FLAGS.folder and pathlib.Path(FLAGS.folder).expanduser()
  return export.export(
      run, FLAGS.export, folder or export.FOLDER, episodes=FLAGS.episodes,
      about=FLAGS.about, licence=FLAGS.licence, machine=FLAGS.machine,
      results=FLAGS.results)


def _write(path: pathlib.Path, text: str) -> None:
  try:
    replacing.replace_text(path, text)
  except OSError as error:
    raise UsageError(f"cannot write {path}: {error.strerror}") from None


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_string("workdir", None, "Folder of the run.")
  flags.DEFINE_string("output", None, "The page to write. Default: card.md in "
                      "the workdir.")
  flags.DEFINE_string("export", None, "Name of a network to make of the run's "
                      "best seed.")
  flags.DEFINE_string("folder", None, "Where the network goes. Default: "
                      "rmc_nalu_sam/pretrained in this checkout.")
  flags.DEFINE_integer("episodes", 256, "Episodes to measure the network's "
                       "figures with, of each variant of the task.",
                       lower_bound=1, upper_bound=numbers.MAX_INT)
  flags.DEFINE_string("about", "", "What the network does, in a sentence. "
                      "Default: that of the preset or the task.")
  flags.DEFINE_string("licence", "", "Of the data. Needed unless they are "
                      "generated.")
  flags.DEFINE_string("machine", "", "Where the network was trained, such as "
                      "'2 CPU cores', if the run did not record it.")
  flags.DEFINE_string("results", "", "File of results of the experiment that "
                      "the network belongs to.")
  flags.DEFINE_boolean("pages", False, "Write the pages of all pretrained "
                       "networks, and nothing else.")
  flags.DEFINE_string("data_dir", None, "Folder of the files of tasks with "
                      "real data. Default: the one used in training.")
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  endings.run(main, "--episodes", needs_flags=True,
              parse_flags=flags_lib.parse)


if __name__ == "__main__":
  run()
