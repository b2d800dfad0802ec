"""Tests panels of an episode: colours, names of rows, symbols of steps."""

import itertools

import matplotlib.figure
import numpy as np
import pytest

import tasks
from launch.pictures import panels


def drawn(panel, steps=None, width=10.):
  """Returns the axis of a panel, laid out."""
  fig = matplotlib.figure.Figure(
      figsize=(width, 2 * panels.height(panel)), layout="constrained")
  axis = fig.subplots()
  panels.draw(fig, axis, panel, steps or panel.image.shape[1])
  fig.draw_without_rendering()
  return axis


def episode(task, inputs, targets, outputs, mask):
  batch = tasks.Batch(*(np.array(x, np.float32)[:, None]
                        for x in (inputs, targets, mask)))
  return panels.of_episode(task, batch, np.array(outputs)[:, None])


def ticks(axis):
  return [[text.get_text() for text in labels] for labels in (
      axis.get_xticklabels(), axis.get_yticklabels())]


def test_signed_inputs_have_a_scale_with_its_middle_at_zero():
  task = tasks.PrioritySort(num_bits=2, max_keys=1)
  inputs = [[1, 0, -.25, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
  shown, target, answer = episode(
      task, inputs, np.zeros([3, 2]), [[1, -3]] * 3, [0, 0, 1])
  axis = drawn(shown)
  (image,) = axis.images
  assert image.norm.vmin == -image.norm.vmax == -1
  below, middle, above = (image.cmap(image.norm(x))[:3]
                          for x in (-.25, 0, .25))
  assert min(middle) > .95  # White.
  assert below[2] > below[0] + .1 and above[0] > above[2] + .1
  assert len(axis.figure.axes) == 2  # The colour bar.
  assert ticks(axis)[1] == ["bit 1", "bit 2", "priority", "end"]
  assert target.colours == panels.UNSIGNED
  # Steps without an answer have a colour of their own.
  answer = drawn(answer)
  np.testing.assert_array_equal(np.isnan(answer.images[0].get_array()),
                                [[True, True, False]] * 2)
  assert answer.get_facecolor() not in {
      answer.images[0].cmap(x) for x in np.linspace(0, 1, 257)}
  assert answer.get_ylabel() == "answer (logit)"


def test_numbers_and_their_targets_have_one_scale():
  task = tasks.RecurrentArithmetic(input_size=2, subset_ratio=.5,
                                   overlap_ratio=0)
  shown, target, answer = episode(
      task, [[1, 2]] * 2, [[0], [3]], [[9], [-1]], [0, 1])
  assert shown.colours == panels.UNSIGNED and shown.rows == ["x1", "x2"]
  assert answer.name == "answer"
  assert target.colours == answer.colours == panels.SIGNED
  assert target.limit == answer.limit == 3
  assert target.rows == answer.rows == ["y"]


def program():
  """Returns the panels of the program `4+2`, whose answer is 6."""
  task = tasks.LearningToExecute(max_length=1)
  codes = [task.input_names.index(x) for x in (*"4+2", "end")]
  inputs, targets, outputs = (np.zeros([6, size]) for size in (
      task.input_size, 10, 10))
  inputs[range(4), codes] = targets[4, 6] = outputs[4, 5] = 1
  return episode(task, inputs, targets, outputs, [0, 0, 0, 0, 1, 0])


def test_characters_are_written_below_their_steps():
  shown, target, answer = map(drawn, program())
  assert ticks(shown)[0] == ["4", "+", "2", "end", "", ""]
  assert list(shown.get_xticks()) == list(range(6))
  assert ticks(target)[0] == ["", "", "", "", "6", ""]
  assert ticks(answer)[0] == ["", "", "", "", "5", ""]
  # Of many characters, those that occur have a row.
  assert ticks(shown)[1] == ["2", "4", "+", "end"]
  assert ticks(target)[1] == list("0123456789")


def test_words_and_numbers_as_symbols():
  task = tasks.LanguageNumbers()
  inputs = np.eye(task.input_size)[[task.input_names.index("seven")]]
  assert task.spell_inputs(inputs) == ["seven"]
  assert task.spell_inputs(0 * inputs) == [""]
  assert task.spell_answers(np.array([[6.98]])) == ["6.98"]
  task = tasks.ProgramEvaluation()
  inputs = np.zeros([3, task.input_size])
  inputs[0, [0, task.input_names.index("number")]] = 17, 1
  inputs[1, task.input_names.index("+")] = 1
  assert task.spell_inputs(inputs) == ["17", "+", ""]


@pytest.mark.parametrize("steps, length, rotation", [
    (6, 3, 0), (60, 8, 90), (200, 8, None), (200, 1, None)])
def test_symbols_that_nobody_could_read_are_left_out(steps, length, rotation):
  symbols = ["m" * length] * steps
  axis = drawn(panels.Panel("input", np.ones([2, steps]), symbols=symbols))
  written = ticks(axis)[0] == symbols
  assert written == (rotation is not None)
  if written:
    labels = axis.get_xticklabels()
    assert labels[0].get_rotation() == rotation
    boxes = [label.get_window_extent() for label in labels]
    assert all(a.x1 <= b.x0 + 1 for a, b in itertools.pairwise(boxes))
    assert labels[0].get_fontsize() >= 5


@pytest.mark.parametrize("steps", [20, 60, 200])
def test_a_figure_is_wide_enough_for_its_symbols(steps):
  symbols = ["four"] * steps
  panel = panels.Panel("input", np.ones([2, steps]), symbols=symbols)
  axis = drawn(panel, width=panels.width([panel], steps))
  assert ticks(axis)[0] == symbols


def test_rows_without_room_are_named_in_groups():
  names = [*(f"pixel {i + 1}" for i in range(100)), "label 1", "label 2", "end"]
  groups = [("pixel", 0, 99), ("label", 100, 101), ("end", 102, 102)]
  assert panels.groups_of(names) == groups
  axis = drawn(panels.Panel("input", np.ones([103, 2]), rows=names))
  assert ticks(axis)[1] == ["pixel", "label", "end"]
  assert list(axis.get_yticks()) == [49.5, 100.5, 102]
