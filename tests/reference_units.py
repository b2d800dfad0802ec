"""The arithmetic units in plain NumPy, float64, one output at a time."""

import functools
import math

import numpy as np

PHI = (1 + math.sqrt(5)) / 2


def sigmoid(x, base=math.e):
  return 1 / (1 + base ** -x)


def tanh(x, base=math.e):
  return (base ** (2 * x) - 1) / (base ** (2 * x) + 1)


def squash(params, suffix="", base=math.e):
  return (tanh(params["w_hat" + suffix], base)
          * sigmoid(params["m_hat" + suffix], base))


def each_output(size, f):
  return np.array([f(o) for o in range(size)])


def linear(params, x, activation=lambda x: x):
  return each_output(len(params["b"]), lambda o: activation(
      sum(a * w for a, w in zip(x, params["w"][:, o], strict=True))
      + params["b"][o]))


def weighted_sum(w, x):
  return each_output(w.shape[1], lambda o: sum(
      x[i] * w[i, o] for i in range(len(x))))


def power_product(w, x, epsilon):
  return each_output(w.shape[1], lambda o: math.prod(
      (abs(x[i]) + epsilon) ** w[i, o] for i in range(len(x))))


def gated_product(w, x):
  return each_output(w.shape[1], lambda o: math.prod(
      w[i, o] * x[i] + 1 - w[i, o] for i in range(len(x))))


def nac(params, x):
  return weighted_sum(squash(params), x)


def nac_mul(params, x):
  return power_product(squash(params), x, 1e-7)


def nac_mul_sigmoid(params, x):
  return power_product(sigmoid(params["w_hat"]), x, 1e-7)


def nac_mul_nmu(params, x):
  return power_product(np.clip(params["w"], 0, 1), x, 1e-7)


def nalu(params, x, base=math.e, mul=""):
  a = weighted_sum(squash(params, base=base), x)
  # For G-NALU, the base of the power and of the logarithms is the golden ratio.
  logs = [math.log(abs(v) + 1e-7) / math.log(base) for v in x]
  m = base ** weighted_sum(squash(params, mul, base), logs)
  g = sigmoid(weighted_sum(params["gate"], x), base)
  return g * a + (1 - g) * m


def inalu(params, x, mul="_mul"):
  w = squash(params, mul)
  logs = [math.log(max(abs(v), 1e-7)) for v in x]
  m = np.exp(np.minimum(weighted_sum(w, logs), 20))
  s = gated_product(abs(w), np.sign(x))
  g = sigmoid(params["gate"])
  return g * weighted_sum(squash(params), x) + (1 - g) * m * s


def nau(params, x):
  return weighted_sum(np.clip(params["w"], -1, 1), x)


def nmu(params, x):
  return gated_product(np.clip(params["w"], 0, 1), x)


def gated_nau_nmu(params, x):
  g = sigmoid(weighted_sum(params["gate"], x))
  return (g * nau({"w": params["w_add"]}, x)
          + (1 - g) * nmu({"w": params["w_mul"]}, x))


def npu(params, x):
  """Computes a product of complex powers; keeps the real part."""
  w = params["w_real"] + 1j * params.get("w_imag", 0 * params["w_real"])
  gate = np.clip(params.get("gate", np.ones(len(x))), 0, 1)
  logs = [math.log(g * (abs(v) + 2 ** -23) + 1 - g)
          + (1j * math.pi * g if v < 0 else 0)
          for g, v in zip(gate, x, strict=True)]
  return np.exp(weighted_sum(w, logs)).real


def nmru(params, x):
  w, v = (np.clip(params[k], 0, 1) for k in ("w", "w_reciprocal"))
  turns = weighted_sum(w + v, [math.pi * (a < 0) for a in x])
  return (np.cos(turns) * gated_product(w, np.abs(x))
          * gated_product(v, 1 / (np.abs(x) + 2 ** -23)))


def shares(params):
  e = np.exp(params["shares"])
  return e / e.sum(axis=1, keepdims=True)


def mcfc(params, x):
  return sigmoid(params["gate"]) * weighted_sum(shares(params), x)


def mul_mcfc(params, x):
  logs = np.log(np.abs(x) + 1e-7)
  return (np.exp(mcfc(params, logs) + params["b"])
          * gated_product(shares(params), np.sign(x)))


REFERENCES = {
    "g_nalu": functools.partial(nalu, base=PHI),
    "gated_nau_nmu": gated_nau_nmu,
    "inalu": inalu,
    "inalu_shared": functools.partial(inalu, mul=""),
    "linear": linear,
    "mcfc": mcfc,
    "mul_mcfc": mul_mcfc,
    "nac": nac,
    "nac_mul": nac_mul,
    "nac_mul_nmu": nac_mul_nmu,
    "nac_mul_sigmoid": nac_mul_sigmoid,
    "naive_npu": npu,
    "nalu": nalu,
    "nalu_separate": functools.partial(nalu, mul="_mul"),
    "nau": nau,
    "nmru": nmru,
    "nmu": nmu,
    "npu": npu,
    "real_npu": npu,
    "relu": functools.partial(linear, activation=lambda x: max(x, 0)),
    "relu6": functools.partial(
        linear, activation=lambda x: min(max(x, 0), 6)),
    "sigmoid": functools.partial(linear, activation=sigmoid),
    "tanh": functools.partial(linear, activation=math.tanh),
}


def l1(params):
  return sum(np.abs(p).sum() for p in params.values())


def far(params):
  return sum(np.mean([max(20 - abs(v), 0) for v in p.flat])
             for p in params.values())


def nearest_bit(*weights):
  return np.mean([min(abs(v), abs(1 - v)) for w in weights for v in w.flat])


PENALTIES = {
    "gated_nau_nmu": lambda p: (nearest_bit(np.abs(p["w_add"]))
                                + nearest_bit(p["w_mul"])),
    "inalu": far,
    "inalu_shared": far,
    "nac_mul_nmu": lambda p: nearest_bit(p["w"]),
    "naive_npu": l1,
    "nau": lambda p: nearest_bit(np.abs(p["w"])),
    "nmru": lambda p: nearest_bit(p["w"], p["w_reciprocal"]),
    "nmu": lambda p: nearest_bit(p["w"]),
    "npu": l1,
    "real_npu": l1,
}


def nau_input(w, mean):
  return np.mean([[(1 - abs(w[i, o])) * mean[i] ** 2
                   for o in range(w.shape[1])] for i in range(len(mean))])


def nmu_input(w, mean):
  return np.mean([[(1 - w[i, o]) * (1 - mean[i]) ** 2
                   for o in range(w.shape[1])] for i in range(len(mean))])


INPUT_PENALTIES = {
    "nac": lambda p, mean: nau_input(squash(p), mean),
    "nac_mul_nmu": lambda p, mean: nmu_input(p["w"], mean),
    "nau": lambda p, mean: nau_input(p["w"], mean),
    "nmu": lambda p, mean: nmu_input(p["w"], mean),
}
