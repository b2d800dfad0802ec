"""Sparse temporal links against dense matrices, and against slow NumPy."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import reference_sdnc

from rmc_nalu_sam.memory import sparse_links
from rmc_nalu_sam.memory.sparse_links import SparseWeights

pytestmark = pytest.mark.usefixtures("strict_promotion")

# There are so few rows that all are written repeatedly.
N, J = 9, 4
STEPS = 50
TOLERANCE = 1e-5

update = jax.jit(sparse_links.update)
cut = jax.jit(sparse_links.cut)


def sparse(rows, weights):
  return SparseWeights(jnp.asarray(rows, jnp.int32),
                       jnp.asarray(weights, float))


def to_dense(weights):
  """Returns `[..., N]` of `[..., L]` weights, and checks their form."""
  rows, values = map(np.asarray, weights)
  assert rows.dtype == np.int32
  assert np.all(values >= 0)
  assert np.all(values[rows < 0] == 0)
  dense = np.zeros([*rows.shape[:-1], N])
  for place in np.ndindex(*rows.shape[:-1]):
    used = rows[place][rows[place] >= 0]
    assert len(set(used.tolist())) == len(used)
    assert used.max(initial=0) < N
    dense[place][used] = values[place][rows[place] >= 0]
  return dense


def as_dicts(weights):
  """Returns the positive weights of each row."""
  dense = to_dense(weights)
  return [{j: row[j] for j in np.flatnonzero(row).tolist()}
          for row in dense.reshape(-1, N)]


def draw_writes(seed, num_steps=STEPS):
  """Draws rows, some repeated, and weights, some 0, with sums of at most 1."""
  rng = np.random.default_rng(seed)
  for _ in range(num_steps):
    weights = rng.dirichlet(np.ones(J)) * rng.uniform()
    weights[rng.uniform(size=J) < .2] = 0
    yield rng.integers(0, N, J, np.int32), weights


# merge


@pytest.mark.parametrize("rows, weights, count, expected", [
    ([3, 5, 7], [.1, .3, .2], 3, {5: .3, 7: .2, 3: .1}),
    ([3, 5, 3], [.2, .3, .2], 2, {3: .4, 5: .3}),
    ([3, 5, 3, 7], [.2, .3, .2, .5], 2, {7: .5, 3: .4}),
    ([3, -1, -1], [.2, .3, .4], 3, {3: .2}),
    ([3, 5, 0], [0., .3, 0.], 3, {5: .3}),
    ([-1, -1], [0., 0.], 1, {}),
], ids=["order", "equal rows", "the largest sums", "no row", "zeros", "none"])
def test_merge(rows, weights, count, expected):
  merged = sparse_links.merge(sparse(rows, weights), count)
  padding = count - len(expected)
  assert merged.rows.tolist() == [*expected, *padding * [-1]]
  np.testing.assert_allclose(
      merged.weights, [*expected.values(), *padding * [0]], rtol=1e-6)


def test_gradients_of_merge(x64):
  """Weights of a row share the gradient of its sum; dropped ones have none."""
  rows, weights = [3, 5, 3, 7, -1], np.array([.2, .3, .2, .1, .9])

  def kept(weights):
    return sparse_links.merge(sparse(rows, weights), 2).weights

  np.testing.assert_array_equal(
      jax.jacobian(kept)(weights), [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0]])
  jax.test_util.check_grads(kept, (weights,), 1, modes=["rev"], rtol=1e-3)


# update


def test_new_links_are_empty():
  links = sparse_links.initial_links(N, 2)
  assert links.before.rows.shape == links.after.rows.shape == (N, 2)
  for weights in links:
    assert not to_dense(weights).any()


def test_update_with_room_for_all_links_is_equations_19_and_20():
  links = sparse_links.initial_links(N, N)
  before, after = np.zeros([N, N]), np.zeros([N, N])
  precedence = np.zeros(N)
  repeated = 0
  for rows, weights in draw_writes(0):
    write = np.zeros(N)
    np.add.at(write, rows, weights)
    repeated += len(set(rows.tolist())) < J
    before = (1 - write)[:, None] * before + np.outer(write, precedence)
    after = (1 - write)[None, :] * after + np.outer(precedence, write)
    np.fill_diagonal(before, 0)
    np.fill_diagonal(after, 0)
    precedence = (1 - write.sum()) * precedence + write
    links = update(links, rows, weights.astype(np.float32))
    for found, expected in zip(
        links, (before, after, precedence), strict=True):
      np.testing.assert_allclose(to_dense(found), expected, atol=TOLERANCE)
  assert repeated > STEPS / 4
  assert np.all(before[~np.eye(N, dtype=bool)] > 0)


@pytest.mark.parametrize("num_links", [1, 2, 5])
def test_update_keeps_the_largest_links_of_each_row(num_links):
  rng = np.random.default_rng(num_links)
  links = sparse_links.initial_links(N, num_links)
  reference = reference_sdnc.initial_links(N)
  full = 0
  for rows, weights in draw_writes(num_links, 2 * STEPS):
    new = np.flatnonzero(rng.uniform(size=N) < .2)
    write = np.zeros(N)
    np.add.at(write, rows, weights)
    reference = reference_sdnc.update_links(
        reference, reference_sdnc.nonzero(write), num_links,
        new.tolist())
    full += max(map(len, reference.after)) == num_links
    # Cuts only the links of rows that are written. N stands for no row.
    links = cut(links, np.where(np.isin(rows, new) & (weights > 0), rows, N))
    links = update(links, rows, weights.astype(np.float32))
    for found, expected in zip(
        links, (*reference[:2], [reference.precedence]), strict=True):
      for one, other in zip(as_dicts(found), expected, strict=True):
        assert one == pytest.approx(other, abs=TOLERANCE)
  assert full > STEPS


def write_one_by_one(links, *rows, weight=.5):
  for row in rows:
    links = update(links, jnp.array([row], jnp.int32), jnp.array([weight]))
  return links


def test_links_lead_from_row_to_row():
  links = write_one_by_one(sparse_links.initial_links(N, 1), 3, 7, 1, weight=1.)
  assert as_dicts(links.after) == [
      {}, {}, {}, {7: 1}, {}, {}, {}, {1: 1}, {}]
  assert as_dicts(links.before) == [
      {}, {7: 1}, {}, {}, {}, {}, {}, {3: 1}, {}]
  assert as_dicts(links.precedence) == [{1: 1}]


def test_cut_drops_the_links_of_some_rows():
  links = write_one_by_one(sparse_links.initial_links(N, N), 3, 7, 1)
  after = sparse_links.cut(links, jnp.array([7, N, 7], jnp.int32))
  for one, other in zip(links[:2], after[:2], strict=True):
    assert as_dicts(one)[7] != {}
    expected = to_dense(one)
    expected[7] = 0
    np.testing.assert_array_equal(to_dense(other), expected)
  # The next write to row 7 acts as if it were the first.
  again = write_one_by_one(after, 7)
  assert as_dicts(again.before)[7].keys() == {3, 1}
  assert as_dicts(again.before)[7] == pytest.approx({3: .0625, 1: .25})
  assert as_dicts(again.after)[7] == {}


def test_write_of_weight_zero_changes_nothing():
  links = write_one_by_one(sparse_links.initial_links(N, 2), 3, 7, 1)
  after = write_one_by_one(links, 7, weight=0.)
  for one, other in zip(links, after, strict=True):
    np.testing.assert_array_equal(to_dense(one), to_dense(other))
  assert to_dense(links.before).any()


def test_no_gradient_through_links():
  links = write_one_by_one(sparse_links.initial_links(N, 2), 3, 7, 1)
  read = sparse([3, 7], [.4, .6])

  def loss(weight, read_weights):
    after = sparse_links.update(
        links, jnp.array([3], jnp.int32), weight).after
    weights = sparse_links.follow(
        after, read._replace(weights=read_weights)).weights
    return weights.sum() + after.weights.sum()

  gradients = jax.jit(jax.grad(loss, (0, 1)))(jnp.array([.5]), read.weights)
  assert not np.any(gradients[0])
  assert np.all(gradients[1] > 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_types_are_kept(x64, dtype):
  def step():
    links = jax.tree.map(
        lambda x: x if x.dtype == jnp.int32 else x.astype(dtype),
        sparse_links.initial_links(N, 2))
    rows = jnp.arange(J, dtype=jnp.int32)
    after = sparse_links.update(
        sparse_links.cut(links, rows), rows, jnp.full([J], .2, dtype))
    read = SparseWeights(jnp.arange(3, dtype=jnp.int32), jnp.ones([3], dtype))
    return links, after, sparse_links.follow(after.after, read)

  links, after, read = jax.eval_shape(step)
  assert after == links
  assert read.weights.dtype == dtype


# follow


@pytest.mark.parametrize("num_links", [2, N])
def test_follow_is_a_product_with_the_links(num_links):
  links = sparse_links.initial_links(N, num_links)
  for rows, weights in draw_writes(2):
    links = update(links, rows, weights.astype(np.float32))
  read = sparse([1, 4, 7], [.2, .5, .1])
  for matrix in (links.before, links.after):
    # Equations 21 and 22. The matrices are transposes of each other, except for
    # the links that were cut.
    expected = to_dense(read) @ to_dense(matrix)
    largest = np.argsort(-expected)[:3]
    found = sparse_links.follow(matrix, read)
    assert found.rows.tolist() == largest.tolist()
    np.testing.assert_allclose(found.weights, expected[largest], rtol=1e-5)
  with pytest.raises(AssertionError):
    np.testing.assert_array_equal(*map(to_dense, (links.before, links.after)))


def test_follow_where_nothing_leads_on():
  links = write_one_by_one(sparse_links.initial_links(N, 2), 3, 7, weight=1.)
  found = sparse_links.follow(links.after, sparse([7, 5], [.6, .4]))
  assert found.rows.tolist() == [-1, -1]
  assert found.weights.tolist() == [0, 0]
  back = sparse_links.follow(links.before, sparse([7, 5], [.6, .4]))
  assert back.rows.tolist() == [3, -1]
