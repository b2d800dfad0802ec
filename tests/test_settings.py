"""The settings of conftest.py hold; other tests would pass without them."""

import warnings

import jax
import jax.numpy as jnp
import pytest


def test_there_are_four_cpu_devices():
  assert jax.local_device_count("cpu") == 4


def test_strict_promotion_fixture(strict_promotion):
  with pytest.raises(ValueError, match="promotion"):
    jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.bfloat16)
  with pytest.raises(ValueError, match="rank_promotion"):
    jnp.ones([2, 3]) + jnp.ones(3)


def test_x64_fixture(x64):
  assert jnp.ones(2).dtype == jnp.float64


def test_x64_is_off_without_it():
  assert jnp.ones(2).dtype == jnp.float32


def test_warnings_are_errors():
  with pytest.raises(UserWarning, match="seen"):
    warnings.warn("seen", stacklevel=1)
