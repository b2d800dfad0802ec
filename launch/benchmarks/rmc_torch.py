"""Implements a plain relational memory in PyTorch, to compare with.

It is written as usual: a loop over time in Python, all rows through all layers.
The maths is that of `rmc_nalu_sam.RMC` with one block and unit gates.
"""

import time

import torch
from torch import nn


class RMC(nn.Module):
  """Maps `[T, B, F]` to `[T, B, N D]`."""

  def __init__(self, input_size: int, num_slots: int, num_heads: int,
               head_size: int):
    super().__init__()
    width = num_heads * head_size
    self.num_slots, self.num_heads, self.width = num_slots, num_heads, width
    self.head_size = head_size
    self.inputs = nn.Linear(input_size, width)
    self.qkv = nn.Linear(width, 3 * width)
    self.qkv_norm = nn.LayerNorm(3 * width)
    self.attention_norm = nn.LayerNorm(width)
    self.mlp_norm = nn.LayerNorm(width)
    self.mlp = nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    self.input_gates = nn.Linear(width, 2 * width)
    self.memory_gates = nn.Linear(width, 2 * width)

  def step(self, inputs, memory):
    """Returns the memory `[B, N, D]` after `inputs [B, F]`."""
    row = self.inputs(inputs)[:, None]
    rows = torch.cat([memory, row], 1)
    batch_size, num_rows, _ = rows.shape
    query, key, value = self.qkv_norm(self.qkv(rows)).view(
        batch_size, num_rows, self.num_heads, -1).transpose(1, 2).chunk(3, -1)
    weights = torch.softmax(
        (query * self.head_size**-.5) @ key.transpose(2, 3), -1)
    found = (weights @ value).transpose(1, 2).reshape(rows.shape)
    rows = self.attention_norm(rows + found)
    candidate = self.mlp_norm(rows + self.mlp(rows))[:, :self.num_slots]
    take, keep = (self.input_gates(row) + self.memory_gates(
        torch.tanh(memory))).chunk(2, -1)
    return (torch.sigmoid(take) * torch.tanh(candidate)
            + torch.sigmoid(keep + 1) * memory)

  def forward(self, inputs):
    memory = torch.eye(
        self.num_slots, self.width, device=inputs.device).expand(
            inputs.shape[1], -1, -1)
    outputs = []
    for x in inputs:
      memory = self.step(x, memory)
      outputs.append(memory.flatten(1))
    return torch.stack(outputs)


def is_available(device: str) -> bool:
  """Returns whether this PyTorch can use 'cpu' or 'cuda'."""
  return device != "cuda" or torch.cuda.is_available()


def make_pass(device: str, num_steps: int, batch_size: int, input_size: int,
              **sizes: int):
  """Returns a function that runs one pass and returns the seconds."""
  torch.manual_seed(0)
  # On a GPU with TF32, as JAX has it by default; on a CPU it changes nothing.
  torch.set_float32_matmul_precision("high" if device == "cuda" else "highest")
  net = RMC(input_size, **sizes).to(device)
  inputs = torch.randn(num_steps, batch_size, input_size, device=device,
                       requires_grad=True)

  def wait():
    if device == "cuda":
      torch.cuda.synchronize()

  def run() -> float:
    net.zero_grad(set_to_none=True)
    inputs.grad = None
    wait()
    start = time.perf_counter()
    net(inputs).square().mean().backward()
    wait()
    return time.perf_counter() - start

  return run
