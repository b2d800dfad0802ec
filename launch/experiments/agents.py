"""Agents in environments: Mini-Pacman and BoxWorld (RMC), time (NALU)."""

from launch.experiments.merging import Preset, merge

_SMALL = {
    "lstm": dict(hidden_size=128),
    "gru": dict(hidden_size=128),
    "rmc": dict(num_slots=4, num_heads=4, head_size=8, gate_style="memory"),
    "sam": dict(hidden_size=128, num_slots=64, num_heads=2, top_k=4),
}
# Of the presets for two CPU cores.
_RUN = dict(optimizer="adam", max_grad_norm=1., batch_size=64, log_every=50,
            checkpoint_every=500)
# What a ConvLSTM takes: the maps after the convolutions, place by place.
_MAPS = dict(encoder_args={"torso": dict(output_size=0)})
# With 1e-3, one of three seeds of an RMC diverged in BoxWorld.
_SLOW = dict(optimizer_args={"adam": dict(learning_rate=3e-4)})


def boxworld() -> Preset:
  """Opens a box with the right key on a small board that is seen whole.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2.
  Data: none.

  Notes:
    The board has 6 x 6 cells and a border, and no distractors, for two CPU
    cores. An agent first learns to take the key; after some million steps, and
    within a few hundred updates, it learns to use it. Two boxes on 8 x 8 cells
    are learnt through a view (`boxworld_viewport`), not yet on the whole board.
    --task.num_forward=1 adds distractors; `boxworld_paper` is the paper's game,
    whose agents learn from 1e9 steps.
  """
  return dict(
      task="boxworld",
      task_args={"boxworld": dict(
          solution_length=1, num_forward=0, grid_size=6, max_steps=50, view=0)},
      encoder_args={"torso": dict(
          channels="12,24", kernel=2, coordinates=True, output_size=64)},
      core="lstm",
      core_args=_SMALL | {"conv_lstm": dict(
          hidden_channels=24, height=6, width=6, channels=24)},
      core_settings={"conv_lstm": _MAPS, "rmc": _SLOW},
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      agent_args={"actor_critic": dict(unroll_length=20, entropy_cost=0.003)},
      steps=5_000,
      eval_every=500,
      eval_episodes=256,
      **_RUN,
  )


def boxworld_viewport() -> Preset:
  """Opens one or two boxes on a small board, of which 5 x 5 cells are seen.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2.
  Data: none.

  Notes:
    As `boxworld`, but for the view and the board of 8 x 8 cells.
  """
  return merge(boxworld(), dict(
      task_args={"boxworld": dict(solution_length=2, grid_size=8, view=5)},
      core_args={"conv_lstm": dict(height=3, width=3)},
      steps=8_000))


def boxworld_paper() -> Preset:
  """Opens up to five boxes among up to five distractors, 5 x 5 cells in view.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2 and supplement.
  Data: none.

  Notes:
    The paper's agents have 100 actors and batches of 32 unrolls from them, and
    learn from 1e9 steps by RMSProp or Adam (it does not tell) at a rate between
    1e-5 and 2e-4. Here 128 environments are stepped by the network that learns.
    --task.view=0 shows the whole board. The ConvLSTM of the paper has 5 x 5
    places; so its convolutions are padded here.
  """
  return merge(boxworld(), dict(
      task_args={"boxworld": dict(
          solution_length=5, num_forward=5, grid_size=12, max_steps=120,
          view=5)},
      encoder_args={"torso": dict(output_size=256)},
      core="rmc",
      core_args={
          "rmc": dict(num_slots=4, num_heads=4, head_size=64),
          "lstm": dict(hidden_size=1024),
          "conv_lstm": dict(hidden_channels=64, height=5, width=5)},
      core_settings={
          "conv_lstm": dict(encoder_args={"torso": dict(padding="same")}),
          "rmc": dict(optimizer_args={"adam": dict(learning_rate=1e-4)})},
      optimizer_args={"adam": dict(learning_rate=1e-4)},
      agent_args={"actor_critic": dict(unroll_length=40, entropy_cost=0.005)},
      batch_size=128,
      steps=200_000))


def minipacman() -> Preset:
  """Eats food and flees from ghosts in a maze that is seen whole.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2; the game is that of
    Weber et al. 2017, arXiv 1707.06203.
  Data: none.

  Notes:
    The paper gives neither mode, reward nor the agent's settings. Its scores
    fit the mode 'regular' with episodes of at most 3,000 steps.
  """
  return dict(
      task="minipacman",
      task_args={"minipacman": dict(view=0)},
      encoder_args={"torso": dict(
          channels="16,16", kernel=3, output_size=128)},
      core="lstm",
      core_args=_SMALL | {"conv_lstm": dict(
          hidden_channels=16, height=11, width=15, channels=16)},
      core_settings={"conv_lstm": _MAPS, "rmc": _SLOW},
      optimizer_args={"adam": dict(learning_rate=7e-4)},
      agent_args={"actor_critic": dict(unroll_length=20, entropy_cost=0.01)},
      steps=10_000,
      eval_every=1_000,
      eval_episodes=64,
      **_RUN,
  )


def minipacman_viewport() -> Preset:
  """Eats food and flees from ghosts in a maze, of which 5 x 5 cells are seen.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2 and Figure 10.
  Data: none.

  Notes:
    As `minipacman`, but for the view.
  """
  return merge(minipacman(), dict(
      task_args={"minipacman": dict(view=5)},
      encoder_args={"torso": dict(channels="16", kernel=3, output_size=64)},
      core_args={"conv_lstm": dict(height=3, width=3)}))


def minipacman_paper() -> Preset:
  """Plays Mini-Pacman through a view of 5 x 5 cells, with larger cores.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2 and Figure 10.
  Data: none.

  Notes:
    The paper gives no sizes for this game: those of its BoxWorld are taken.
    --task.view=0 shows the whole maze.
  """
  return merge(minipacman_viewport(), dict(
      core="rmc",
      core_args={
          "rmc": dict(num_slots=4, num_heads=4, head_size=64),
          "lstm": dict(hidden_size=1024)},
      core_settings={"rmc": dict(
          optimizer_args={"adam": dict(learning_rate=2e-4)})},
      optimizer_args={"adam": dict(learning_rate=2e-4)},
      agent_args={"actor_critic": dict(unroll_length=40)},
      batch_size=128,
      steps=200_000))


def time_tracking() -> Preset:
  """Steps onto a square at an instructed time, seen as small pictures.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.5 and Figure 5.
  Data: none.

  Notes:
    The paper gives no settings of its agent. --core=nac_lstm is its agent with
    a NAC. Cells have 4 pixels here; `time_tracking_paper` has its pictures of
    56 x 56 pixels. --levels=10,11,...,25 of launch.evaluate asks for later
    times than those of training.
  """
  return dict(
      task="time_tracking",
      task_args={"time_tracking": dict(cell_pixels=4)},
      encoder_args={"torso": dict(
          channels="16,32", kernel=4, stride=4, padding="same",
          output_size=64)},
      core="lstm",
      core_args={
          "lstm": dict(hidden_size=64), "nac_lstm": dict(hidden_size=64)},
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      agent_args={"actor_critic": dict(
          unroll_length=20, entropy_cost=0.01, discount=0.99)},
      steps=10_000,
      eval_every=500,
      eval_episodes=256,
      **_RUN,
  )


def time_tracking_paper() -> Preset:
  """Steps onto a square at an instructed time, seen as 56 x 56 pixels.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.5 and Figure 5.
  Data: none.

  Notes:
    As `time_tracking`, but for the pictures. The paper uses A3C; its other
    settings are not known.
  """
  return merge(time_tracking(), dict(
      task_args={"time_tracking": dict(cell_pixels=11)}))
