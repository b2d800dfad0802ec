"""The blocks of docs/in_your_model.md and run_files.md run as they stand."""

import contextlib
import io
import re

import jax
import jax.numpy as jnp
import launch_helpers
import numpy as np
import pytest
import test_snippets

from launch import train
from launch.pictures import run as pictures

PAGE = test_snippets.ROOT / "docs" / "in_your_model.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
  """Returns the names that the blocks define, and what each page printed."""
  with (pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as printed):
    patch.chdir(tmp_path_factory.mktemp("page"))
    patch.setattr(pictures, "draw", lambda *_: None)
    assert launch_helpers.run(train, *launch_helpers.tiny_flags("sam"),
                              "--steps=2", "--workdir=runs/copy") == 0
    printed.truncate(0)
    printed.seek(0)
    names = test_snippets.run(PAGE)
    of_model = printed.getvalue().splitlines()
    test_snippets.run(PAGE.with_name("run_files.md"))
    of_files = printed.getvalue().splitlines()[len(of_model):]
  return names, of_model, of_files


def test_blocks_are_short_and_print_what_their_comments_say(page):
  blocks = test_snippets.blocks(PAGE)
  assert len(blocks) == 12
  assert all(len(block.splitlines()) <= 15 for block in blocks)
  _, printed, _ = page
  distance = printed.pop(1)
  assert printed == [
      "y = price - rebate", "price - rebate", "(6, 4, 4, 4)", "(6, 4, 4, 4)",
      "(6, 4, 4, 32)", "(6, 4, 1, 2, 4, 5)", "sam 2 (6, 4, 3)"]
  assert "# y = price - rebate" in PAGE.read_text()
  assert float(distance) < .2


def test_the_files_of_a_run_are_read(page):
  evaluation, run = page[2]
  step, loss = evaluation.split()
  assert (step, run) == ("2", "sam [0]")
  assert 0 < float(loss) < 2


def test_the_advice_on_padding_is_right(page):
  """Each last state is that of its sequence alone, without any padding."""
  names, *_ = page
  for row, length in enumerate(names["lengths"].tolist()):
    alone = names["unroll"](
        names["params"], None, names["inputs"][:length, row:row + 1],
        names["memory"].initial_state(names["params"], 1))
    ours = names["last_state"]
    for one, other in ((alone.state.controller, ours.controller),
                       (alone.state.access.read_words, ours.access.read_words)):
      jax.tree.map(lambda a, b, row=row: np.testing.assert_allclose(
          a[0], b[row], rtol=1e-4, atol=1e-5), one, other)
    # Padding at the end leaves the answers before it as they were.
    np.testing.assert_allclose(
        alone.outputs[:, 0], names["outputs"][:length, row],
        rtol=1e-4, atol=1e-5)


def test_saved_parameters_are_the_same(page):
  names, *_ = page
  jax.tree.map(np.testing.assert_array_equal, names["restored"],
               names["params"])
  assert jax.tree.structure(names["restored"]) == jax.tree.structure(
      names["params"])


def test_a_reset_changes_its_sequence_alone(page):
  names, *_ = page
  reset = names["unroll"](names["params"], None, names["inputs"],
                          names["start"], resets=names["resets"])
  changed = np.any(np.abs(reset.outputs - names["outputs"]) > 1e-6,
                   axis=-1)
  expected = np.zeros((6, 4), bool)
  expected[3:, 1] = True
  np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("link", re.findall(
    r"\]\(([^)#:]+)\)", PAGE.read_text()))
def test_linked_files_exist(link):
  assert (PAGE.parent / link).exists()


def test_the_masked_loss_has_no_padding(page):
  names, *_ = page
  own = np.concatenate([names["errors"][:length, row] for row, length in
                        enumerate(names["lengths"].tolist())])
  np.testing.assert_allclose(jnp.asarray(names["masked_loss"]), own.mean(),
                             rtol=1e-5)
