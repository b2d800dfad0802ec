"""Implements a plain language model in PyTorch, to compare with.

It is that of pytorch/examples/word_language_model without dropout: the text in
rows on the device, `nn.LSTM`, an output layer tied to the embedding, the
gradient clipped; but Adam in place of plain SGD.
"""

from typing import Any

import torch
from torch import nn


class LanguageModel(nn.Module):
  """Maps tokens `[T, B]` and targets `[T, B]` to a loss."""

  def __init__(self, vocabulary: int, num_units: int, num_layers: int,
               cutoffs: tuple[int, ...] = ()):
    super().__init__()
    self.embedding = nn.Embedding(vocabulary, num_units)
    nn.init.uniform_(self.embedding.weight, -.1, .1)
    self.lstm = nn.LSTM(num_units, num_units, num_layers)
    if cutoffs:
      self.head = nn.AdaptiveLogSoftmaxWithLoss(
          num_units, vocabulary, list(cutoffs))
    else:
      self.head = nn.Linear(num_units, vocabulary)
      nn.init.zeros_(self.head.bias)
      self.head.weight = self.embedding.weight

  def forward(self, inputs, targets, state):
    """Returns the mean loss, and the next state."""
    outputs, state = self.lstm(self.embedding(inputs), state)
    outputs, targets = outputs.flatten(0, 1), targets.flatten()
    if isinstance(self.head, nn.Linear):
      return nn.functional.cross_entropy(self.head(outputs), targets), state
    return self.head(outputs, targets).loss, state


def is_available(device: str) -> bool:
  """Returns whether this PyTorch can use 'cpu' or 'cuda'."""
  return device != "cuda" or torch.cuda.is_available()


def make_calls(device: str, tokens, num_updates: int, num_steps: int,
               batch_size: int, *, max_grad_norm: float, learning_rate: float,
               **sizes: Any):
  """Returns functions that do some updates, and cut their windows alone."""
  torch.manual_seed(0)
  # On a GPU with TF32, as JAX has it by default; on a CPU it changes nothing.
  torch.set_float32_matmul_precision("high" if device == "cuda" else "highest")
  net = LanguageModel(**sizes).to(device)
  optimizer = torch.optim.Adam(net.parameters(), learning_rate)
  length = len(tokens) // batch_size
  rows = torch.tensor(tokens[:length * batch_size], dtype=torch.long).view(
      batch_size, length).t().contiguous().to(device)
  # Each function has a state and a place of its own.
  of_update: dict[str, Any] = dict(place=0, state=None)
  of_draw: dict[str, Any] = dict(place=0)

  def window(at):
    """Returns inputs and targets, and whether their rows begin."""
    if at["place"] + num_steps >= length:
      at["place"] = 0
    place = at["place"]
    at["place"] += num_steps
    inputs, targets = (rows[place + i:place + i + num_steps] for i in (0, 1))
    return inputs, targets, place == 0

  def update():
    inputs, targets, is_first = window(of_update)
    state = None if is_first else tuple(
        x.detach() for x in of_update["state"])
    optimizer.zero_grad()
    loss, of_update["state"] = net(inputs, targets, state)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), max_grad_norm)
    optimizer.step()
    return loss

  def repeated(function):
    def call():
      for _ in range(num_updates):
        result = function()
      if device == "cuda":
        torch.cuda.synchronize()
      return result

    return call

  def draw():
    inputs, targets, _ = window(of_draw)
    return inputs, targets

  return repeated(update), repeated(draw)
