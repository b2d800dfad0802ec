"""Agents: Mini-Pacman and BoxWorld (Santoro et al. 2018), time (NALU)."""

from launch.evidence.catalogue.rmc import PAPER, TINY_CORES
from launch.evidence.experiment import Cell, Experiment, Figure, Piece
from launch.evidence.grid import table

_CORES = {"rmc": "RMC", "lstm": "LSTM"}


def _tiny(preset: str, core: str) -> str:
  """Returns the flags of a rehearsal."""
  return (f"--preset={preset} {TINY_CORES[core]} --agent.unroll_length=2 "
          "--steps=2 --batch_size=2 --eval_episodes=2 --task.max_steps=3")


_PACMAN = Experiment(
    name="rmc_minipacman",
    title="Mini-Pacman",
    source=f"{PAPER}, Figure 10. The paper gives neither the agent's settings "
    "nor the mode of the game nor the number of steps",
    measures="return of an episode of the mode 'regular', of at most 3,000 "
             "steps, at equal steps of training for all cores (a random "
             "policy: 9.8)",
    published={Cell("RMC", "viewport"): 677, Cell("LSTM", "viewport"): 550,
               Cell("RMC", "full observation"): 1159,
               Cell("LSTM", "full observation"): 598},
    pieces=tuple(
        Piece(f"{view}_{core}", f"--core={core}",
              {Cell(row, column): "return",
               Cell(row, f"{column}, length"): "length"},
              scales={
                  "tiny": _tiny(preset, core),
                  "small": f"--preset={preset} --num_seeds=3 --steps={steps}",
                  "paper": f"--preset=minipacman_paper {paper}".rstrip()})
        for view, column, preset, steps, paper in (
            ("viewport", "viewport", "minipacman_viewport", 24_000, ""),
            ("full", "full observation", "minipacman", 3000,
             "--task.view=0"))
        for core, row in _CORES.items()),
    headline=[Cell(row, "viewport") for row in _CORES.values()],
    note="A script that walks to the nearest food, away from ghosts, got 460 "
         "with the viewport and 622 with the full view in 20 episodes of the "
         "released game (standard errors 28 and 43); ours "
         "(`tests/oracle_minipacman.py`) gets 460 and 509. "
         "At `small` each seed has 31 million steps with the viewport, about "
         "40 minutes for the three seeds on one core, and 3.8 million with the "
         "full view; the three seeds are trained in one program. LSTM comes "
         "near the script, both still improve at the end. The learning rates "
         "were not swept: RMC has 3e-4 and LSTM 7e-4, so this is no comparison "
         "of the two.",
    figures=(Figure("minipacman.png", "Mini-Pacman with the viewport.",
                    pieces=("viewport_rmc", "viewport_lstm")),))

_WORLDS = {"": "lengths 1 to 2", "_distractors": "lengths 1 to 2, distractors"}
_WORLD_CORES = _CORES | {"conv_lstm": "ConvLSTM"}
_BOXWORLD = Experiment(
    name="rmc_boxworld",
    title="BoxWorld",
    source=f"{PAPER}: lengths 1 to 5 and up to 5 distractors through a "
           "viewport, after 1e9 steps of the environment, IMPALA",
    measures="share of solved levels, at equal steps of training for all cores",
    published={Cell("RMC", "lengths 1 to 5"): .98,
               Cell("ConvLSTM", "lengths 1 to 5"): .73},
    paper_episodes=10**9,
    pieces=(
        *(Piece(core + end, "--preset=boxworld_viewport" + (
              " --task.num_forward=1" if end else "") + f" --core={core}",
                {Cell(row, column): "gem",
                 Cell(row, f"{column}, return"): "return"},
                scales={"small": "--num_seeds=3 --steps=5000"})
          for end, column in _WORLDS.items()
          for core, row in _WORLD_CORES.items()),
        Piece("whole_lstm", "--preset=boxworld --core=lstm",
              {Cell("LSTM", "length 1, whole board"): "gem"},
              scales={"small": "--num_seeds=3"}),
        *(Piece(f"{core}_paper", f"--core={core}",
                {Cell(row, "lengths 1 to 5"): "gem"},
                scales={"paper": "--preset=boxworld_paper"} | (
                    {"tiny": _tiny("boxworld_paper", core)}
                    if core in TINY_CORES else {}))
          for core, row in _WORLD_CORES.items())),
    headline=[Cell(row, column) for row in ("RMC", "ConvLSTM")
              for column in ("lengths 1 to 5", "lengths 1 to 2")],
    note="At `small` the board has 8 x 8 cells within its border, of which 5 x "
         "5 are seen; distractors: none or one. A random policy solves 1 % of "
         "these levels. Each seed has 6.4 million steps; the three seeds are "
         "trained in one program. On levels as simple as these, RMC learns "
         "more slowly than LSTM and ConvLSTM, at a rate that is lower (3e-4, "
         "the others 1e-3): with 1e-3 one of its three seeds diverged. Rates "
         "were not swept. Distractors make it harder for all within the same "
         "steps. On the whole board (6 x 6 cells, one box, preset `boxworld`) "
         "an agent takes the key soon, and uses it only after millions of "
         "steps, but then in nearly all levels.",
    figures=(Figure("boxworld.png", "BoxWorld, lengths 1 to 2, no distractors.",
                    "--metric=gem", pieces=tuple(_WORLD_CORES)),
             Figure("boxworld.gif", "The trained RMC opens two boxes. In grey: "
                    "the attention of its slots, a row for each head and slot; "
                    "the last column is the input.", picture="episode.gif",
                    pieces=("rmc",))))

_TIMES = range(10, 26)
_AGENTS = {"nac_lstm": "A3C + NAC", "lstm": "A3C"}
_TIME = Experiment(
    name="nalu_figure5_time",
    title="Tracking time in a grid world",
    source="Trask et al. 2018, arXiv 1808.00508, Figure 5, read off by eye; "
           "trained up to a command of 12",
    measures="mean reward of an episode by the commanded time. Ours: an "
             "actor-critic on one device in place of A3C, from the same "
             "steps of training with and without a NAC",
    published=table(
        ("A3C + NAC", "A3C"),
        [*map(str, range(12, 23)), "25"], """\
        1.0 0.98 0.95 0.92 0.90 0.86 0.83 0.73 0.30 0.04 0.0 0.0
        1.0 0.97 0.70 0.62 0.48 0.35 0.22 0.08 -0.07 -0.23 -0.41 -0.89"""),
    pieces=tuple(
        Piece(core, f"--core={core} --num_seeds=3",
              {Cell(row, str(time)): f"level {time}/return"
               for time in _TIMES},
              scales={"small": "--preset=time_tracking --steps=3000",
                      "paper": "--preset=time_tracking_paper"},
              evaluate=f"--levels={','.join(map(str, _TIMES))}")
        for core, row in _AGENTS.items()),
    headline=[Cell(row, "19") for row in _AGENTS.values()],
    note="The paper gives no settings of its agent, nor the reward of another "
         "time than the commanded one; both agents here are the same but for "
         "the NAC. As in the paper, the LSTM alone fails beyond its training's "
         "commands, and with a NAC it goes on; here up to 25, where the "
         "paper's agent stops at 20. Without a NAC, it no longer arrives at "
         "all beyond 20, which is worth 0. At `small`, pictures have 21 x 21 "
         "pixels (56 x 56 at `paper`), and each seed has 3.8 million steps.",
    figures=(Figure("time_tracking.png", "Reward by the commanded time; "
                    "training ends at 12.", "--x=levels"),))

_ENVIRONMENTS = ("BoxWorld, 5 x 5 view", "BoxWorld, whole",
                 "Mini-Pacman, whole, RGB", "Mini-Pacman, 5 x 5 view",
                 "time tracking")
_WITH_ORIGINAL = _ENVIRONMENTS[:3]
_SPEED = Experiment(
    name="environments_speed",
    title="Speed of environments and agents",
    source="not in a paper. The Python originals were measured on a machine "
           "like this: BoxWorld (pycolab 6504c80, the whole board of 14 x 14, "
           "up to 4 boxes and 4 distractors) 2,911 steps a second; Mini-Pacman "
           "(deepmind_pillman.py) 1,020 with its RGB picture",
    measures="steps a second in which something happened, on two cores",
    pieces=(Piece(
        "cpu", "--suite=environments --cpu_devices=2", {
            Cell(f"{name}: {label}", column): f"{name} {label}/{column}"
            for name in _ENVIRONMENTS
            for label, columns in (
                ("acting at random", ("steps/s", "times the original")),
                ("lstm", ("steps/s",)),
                ("nac_lstm" if name == "time tracking" else "rmc",
                 ("steps/s",)))
            for column in columns
            if column == "steps/s" or name in _WITH_ORIGINAL},
        {"small": "--repeats=3 --time_limit=600"}, "benchmark"),),
    headline=[Cell(f"{name}: acting at random", "steps/s")
              for name in (_ENVIRONMENTS[0], _ENVIRONMENTS[2])],
    note="Acting at random has 1,024 environments side by side, and sums the "
         "observations up in place of keeping them. Learning has the presets' "
         "64, and counts acting, loss, gradients and update; the whole "
         "BoxWorld had 8 x 8 cells when it was measured.")

EXPERIMENTS: tuple[Experiment, ...] = (_PACMAN, _BOXWORLD, _TIME, _SPEED)
