"""Arithmetic on decimal digits, against Python's own integers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.programs import digits

pytestmark = pytest.mark.usefixtures("strict_promotion")

SIZE = 7


def to_digits(numbers) -> np.ndarray:
  """Returns the last `SIZE` digits of Python's numbers, `[N, SIZE]`."""
  return np.array([[number // 10**place % 10 for place in range(SIZE)]
                   for number in numbers], np.int32)


def to_numbers(rows) -> list[int]:
  rows = np.asarray(rows)
  assert ((rows >= 0) & (rows < 10)).all()
  return [sum(int(d) * 10**place for place, d in enumerate(row))
          for row in rows]


def all_of(function, *args):
  """Applies `function` to every row."""
  return jax.jit(jax.vmap(function))(*args)


@pytest.fixture
def pairs() -> tuple[list[int], list[int]]:
  random = np.random.default_rng(0)
  edge = [0, 1, 9, 10, 10**SIZE - 1, 10**(SIZE - 1)]
  drawn = [int(n) for n in 10 ** random.uniform(0, SIZE, 200)]
  a = [x for x in edge for _ in edge] + drawn
  b = edge * len(edge) + drawn[::-1]
  return a, b


def test_sums_and_differences_are_modulo_a_power_of_ten(pairs):
  a, b = pairs
  for result, expected in (
      (lambda x, y: x + y, [x + y for x, y in zip(a, b, strict=True)]),
      (lambda x, y: x - y, [x - y for x, y in zip(a, b, strict=True)]),
      (lambda x, y: x + 9 * y, [x + 9 * y for x, y in zip(a, b, strict=True)])):
    carried, rest = all_of(lambda x, y, result=result: digits.carry(
        result(x, y)), to_digits(a), to_digits(b))
    assert to_numbers(carried) == [x % 10**SIZE for x in expected]
    assert list(rest) == [x // 10**SIZE for x in expected]
    assert len(set(np.asarray(rest).tolist())) > 1


def test_products_do_not_overflow(pairs):
  a, b = pairs
  product = all_of(lambda x, y: digits.carry(digits.multiply(x, y))[0],
                   to_digits(a), to_digits(b))
  expected = [x * y for x, y in zip(a, b, strict=True)]
  assert max(expected) > 2**32
  assert to_numbers(product) == [x % 10**SIZE for x in expected]


def test_is_less(pairs):
  a, b = pairs
  less = np.asarray(all_of(digits.is_less, to_digits(a), to_digits(b)))
  expected = [x < y for x, y in zip(a, b, strict=True)]
  assert set(expected) == {False, True}
  assert less.tolist() == expected


def test_count_keep_and_text():
  numbers = [0, 7, 10, 304, 1000000, 9999999]
  rows = to_digits(numbers)
  assert all_of(digits.count, rows).tolist() == [1, 1, 2, 3, 7, 7]
  assert to_numbers(all_of(lambda x: digits.keep(x, 3), rows)) == [
      0, 7, 10, 304, 0, 999]
  shown = all_of(lambda x: digits.text(x, digits.count(x)), rows)
  for number, codes in zip(numbers, np.asarray(shown), strict=True):
    assert "".join(map(str, codes[codes != digits.ABSENT])) == str(number)
  assert digits.text(jnp.arange(5), 2).tolist() == [-1, -1, -1, 1, 0]


def test_compact():
  codes = jnp.array([-1, 3, -1, -1, 0, 7, -1])
  for size in (3, 5, 11):
    assert digits.compact(codes, size).tolist() == [3, 0, 7] + [-1] * (size - 3)
  assert digits.compact(jnp.full(2, -1), 3).tolist() == [-1] * 3
