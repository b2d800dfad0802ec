"""The names that the examples in docstrings use without an import."""

import pytest

# These import packages of the extra 'environments', and have no examples.
collect_ignore = ["tasks/environments/adapters/dm_env_adapter.py",
                  "tasks/environments/adapters/gymnasium_adapter.py"]


@pytest.fixture(autouse=True, scope="session")
def names_of_examples(request, tmp_path_factory):
  """Puts them into the namespace of `pytest --doctest-modules`.

  The cache of converted data goes into a temporary folder.
  """
  if not request.config.getoption("doctestmodules", False):
    yield
    return
  # Not above: tests/conftest.py sets JAX up before it imports it.
  import haiku as hk
  import jax
  import jax.numpy as jnp
  import numpy as np

  import rmc_nalu_sam
  import tasks

  request.getfixturevalue("doctest_namespace").update(
      hk=hk, jax=jax, jnp=jnp, np=np, rmc_nalu_sam=rmc_nalu_sam, tasks=tasks)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
