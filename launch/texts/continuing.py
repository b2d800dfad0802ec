"""Continues a text by the newest checkpoint of a run."""

import itertools
import pathlib
from collections.abc import Iterator

from launch.configs import build, devices
from launch.configs.config import UsageError
from launch.runs.run import Run
from launch.runs.trained import loading
from launch.texts import drawing, vocabulary


def sample(workdir: pathlib.Path, prompt: str, num_tokens: int,
           rule: drawing.Rule, seed: int) -> Iterator[str]:
  """Yields a prompt and its continuation piece by piece, as they are drawn.

  The network is that of the best seed (of the best value of a sweep). The
  prompt comes as the network reads it, for example with `<unk>`. A character
  of several tokens comes with the last of them.

  Args:
    workdir: of the run.
    prompt: the text to continue.
    num_tokens: how many tokens to draw.
    rule: how to draw them.
    seed: of the drawing.

  Raises:
    UsageError: there is no run, no checkpoint or no vocabulary, the task is no
      text, the prompt is empty or has a piece that the vocabulary lacks, or the
      network gives no numbers.
  """
  run = Run(workdir)
  run.task = task = vocabulary.readable_task(run)
  try:
    tokens = task.codec.encode(prompt)
  except ValueError as error:
    raise UsageError(f"--prompt: {error}") from None
  if not len(tokens):
    raise UsageError(f"--prompt={prompt!r} has no token; give a text to "
                     "continue")
  trainer = build.make_trainer(run.config, task,
                               devices.for_evaluation(run.config))
  state = loading.restore(run, trainer)
  _, params = run.best_params(state.train.params)
  drawn = itertools.islice(drawing.continued(
      trainer.model, params, tokens, rule, seed), num_tokens)
  try:
    yield from task.codec.as_they_come(
        map(int, itertools.chain(tokens, drawn)))
  except ValueError as error:
    raise UsageError(f"{workdir}: {error}") from None
