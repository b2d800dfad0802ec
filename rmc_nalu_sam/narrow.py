"""Matrix products in bfloat16, and everything else in float32.

A bfloat16 number has the range of float32 and 8 significant bits. Accelerators
multiply such numbers fast, but sums over steps would lose what is small. So,
within `products_in("bfloat16")`, the operands of a matrix product are cast to
bfloat16, and its result is float32. So are the products of the gradients. All
that lies between the products is float32: parameters, states, gates,
normalisation, softmax, and gradients that add up over steps.

- `hk.Linear` is replaced in all modules, also in a user's own core.
- Code that multiplies by itself calls `matmul` and `einsum`.
- The words of DAM and NTM, which read and write all of a memory at every step,
  are made in `memory_dtype`, and then the type of the memory decides. The words
  of SAM and SDNC stay float32: XLA has no bfloat16 scatter on a CPU, and would
  cast the whole memory at every step. So do the cells of an LSTM, the memory of
  RMC, usage and links, which change a little at every step, and all of a DNC's
  access, whose links take more room than its words.
- Similarities, norms, hashes and softmax are float32: they choose what is read.
- Arithmetic units multiply in float32, because 8 bits cannot add numbers
  exactly. Of them, 'linear' and 'mlp' count as layers when they are a read-out.
  A network whose core is made of units (`OF_UNITS`) multiplies in float32 from
  its core on.

The rule of a `jax.custom_vjp` is traced later, when the context is over. It
must take `current()` as an argument.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from rmc_nalu_sam.arrays import align
from rmc_nalu_sam.checks import check_choice

PRECISIONS = ("float32", "bfloat16")
_MATMUL = "...i,io->...o"
_DTYPE: contextvars.ContextVar[Any] = contextvars.ContextVar(
    "type of matrix products", default=None)


def check_precision(precision: str) -> None:
  """Checks the name of a precision.

  Raises:
    ValueError: it is not in `PRECISIONS`.
  """
  if precision == "float16":
    raise ValueError(
        "precision 'float16' is not supported: small gradients would become 0 "
        "in it, unless the loss were scaled; take 'bfloat16', which has the "
        "range of float32")
  check_choice(PRECISIONS, precision=precision)


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
  """Sets the type of matrix products, inside a Haiku transform.

  Args:
    precision: 'bfloat16', or 'float32' for that of the operands.

  Raises:
    ValueError: as `check_precision`.
  """
  check_precision(precision)
  is_narrow = precision == "bfloat16"
  token = _DTYPE.set(jnp.dtype(jnp.bfloat16) if is_narrow else None)
  try:
    with (hk.intercept_methods(_replace_linear) if is_narrow
          else contextlib.nullcontext()):
      yield
  finally:
    _DTYPE.reset(token)


def current() -> Any:
  """Returns the type of matrix products; None for that of the operands."""
  return _DTYPE.get()


def memory_dtype() -> Any:
  """Returns the type of the words of a new memory."""
  return current() or jnp.result_type(float)


def matmul(x: jax.Array, w: jax.Array) -> jax.Array:
  """Returns `x @ w` of operands of the current type, in the type of `x`.

  Args:
    x: `[..., I]`.
    w: `[I, O]`.
  """
  return matmul_in(current(), x, w)


def matmul_in(dtype: Any, x: jax.Array, w: jax.Array) -> jax.Array:
  """Returns `matmul` of operands of a given type; None for their own."""
  return x @ w if dtype is None else einsum_in(dtype, _MATMUL, x, w)


def einsum(formula: str, x: jax.Array, y: jax.Array) -> jax.Array:
  """Returns `jnp.einsum` of operands of the current type, in the type of `x`.
  """
  return einsum_in(current(), formula, x, y)


def einsum_in(dtype: Any, formula: str, x: jax.Array,
              y: jax.Array) -> jax.Array:
  """Returns `einsum` of operands of a given type; None for their own."""
  if dtype is None or x.dtype == y.dtype == dtype:
    return jnp.einsum(formula, x, y)
  return _einsum(formula, dtype, x, y)


# Its own derivative: that of JAX multiplies float32 by bfloat16.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _einsum(formula, dtype, x, y):
  return jnp.einsum(formula, x.astype(dtype), y.astype(dtype),
                    preferred_element_type=x.dtype)


@functools.partial(_einsum.defjvp, symbolic_zeros=True)
def _einsum_jvp(formula, dtype, primals, tangents):
  x, y = (primal.astype(dtype) for primal in primals)
  dx, dy = (None if isinstance(tangent, SymbolicZero) else tangent.astype(dtype)
            for tangent in tangents)
  result = _einsum(formula, dtype, *primals)
  products = [jnp.einsum(formula, *pair).astype(result.dtype)
              for pair in ((dx, y), (x, dy))
              if not any(operand is None for operand in pair)]
  return result, sum(products, start=jnp.zeros_like(result))


def _replace_linear(call, args, kwargs, context):
  """Intercepts the methods of all modules; computes `hk.Linear` by `matmul`."""
  is_linear = (context.orig_class is hk.Linear
               and context.method_name == "__call__")
  if current() is None or not is_linear:
    return call(*args, **kwargs)
  return _linear(context.module, *args, **kwargs)


def _linear(layer: hk.Linear, inputs: jax.Array,
            precision: Any = None) -> jax.Array:
  del precision  # That of float32.
  size, dtype = inputs.shape[-1], inputs.dtype
  init = layer.w_init or hk.initializers.TruncatedNormal(1 / np.sqrt(size))
  w = hk.get_parameter("w", [size, layer.output_size], dtype, init)
  outputs = matmul(inputs, w)
  if not layer.with_bias:
    return outputs
  return outputs + align(
      hk.get_parameter("b", [layer.output_size], dtype, layer.b_init), outputs)
