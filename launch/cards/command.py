"""The command that trains a run, from its configuration."""

import shlex
from typing import Any

import ml_collections

from launch.configs import config as config_lib
from launch.configs import members, sweeps

# Which members a run has decides which arguments a preset sets. The unit comes
# last: whether a network has one depends on the others.
_KINDS = sorted((kind for kind in members.KINDS if kind != "index"),
                key="unit".__eq__)
# Of a machine, and how often it looked: not what is trained.
_LEFT_OUT = ("data_dir", "cache_dir", "data_timeout", "parallel", "log_every",
             "checkpoint_every", "preset", "sweep")


def of(config: ml_collections.ConfigDict) -> str:
  """Returns `python -m launch.train ...`, without a workdir.

  It names the preset and all that differs from it. A folder of data is `$data`.

  Args:
    config: from `config.load`.
  """
  # A preset of somebody's own is a function, which a file must not call.
  preset = config.preset if config.preset in members.PRESETS else None
  flags: dict[str, Any] = {}
  base = config_lib.resolve(preset, flags, {})
  for kind in _KINDS:
    if config[kind] != base[kind]:
      flags[kind] = config[kind]
      base = config_lib.resolve(preset, flags, {})
  flags |= {name: value for name, value in config.items()
            if name not in _LEFT_OUT and not name.endswith("_args")
            and value != base[name]}
  for kind in members.KINDS:
    others = base[f"{kind}_args"].to_dict()
    flags |= {f"{kind}.{name}": value
              for name, value in config[f"{kind}_args"].to_dict().items()
              if name not in others or others[name] != value}
  flags |= dict(config.sweep)
  words = [f"--{name}={shlex.quote(str(sweeps.shown(value)))}"
           for name, value in flags.items()]
  return " ".join([
      "python -m launch.train", *([f"--preset={preset}"] if preset else []),
      *words, *(["--data_dir=$data"] if config.data_dir else [])])
