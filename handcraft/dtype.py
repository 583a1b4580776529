"""The dtypes of weights: which numbers each represents, and what each file format calls it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log
from typing import TYPE_CHECKING, Literal

from handcraft.errors import PrecisionError

if TYPE_CHECKING:
    import numpy as np

DTypeName = Literal["float32", "float64", "float16", "bfloat16"]


@dataclass(frozen=True)
class DType:
    """A binary floating-point type. All its other facts follow from its two sizes, as in IEEE 754.

    Args:
        name: in NumPy, in config.json and on the command line.
        significand: how many binary digits a number has, the first one included.
        exponent: of the largest power of two; that of the smallest normal one is 1 - `exponent`.
        code: of a tensor in safetensors and in GGUF.
        onnx: of a tensor in ONNX.
        gguf: of a GGUF file as a whole; None where llama.cpp does not compute in it.
        is_in_numpy: whether NumPy has it without ml_dtypes, so that npz files can contain it.
    """

    name: str
    significand: int
    exponent: int
    code: str
    onnx: str
    gguf: str | None = None
    is_in_numpy: bool = True

    @property
    def numpy(self) -> np.dtype[np.floating]:
        """The NumPy type; bfloat16 comes from ml_dtypes."""
        import numpy as np

        if not self.is_in_numpy:
            import ml_dtypes  # noqa: F401 - registers the name with NumPy
        return np.dtype(self.name)

    @property
    def largest(self) -> int:
        """The largest finite number."""
        return (1 << self.exponent + 1) - (1 << self.exponent + 1 - self.significand)

    @property
    def whole(self) -> int:
        """All whole numbers up to it are exact."""
        return 1 << self.significand

    @property
    def running(self) -> DType:
        """In which `Model` and ONNX compute with such weights: half precision is cast to float32."""
        return max(self, FLOAT32, key=lambda each: each.significand)

    @property
    def overflows_first(self) -> bool:
        """Whether a number can be too large for it that is none for `running`."""
        return self.exponent < self.running.exponent

    @property
    def underflow(self) -> int:
        """The score gap in nats from which softmax, which runs in `running`, gives exactly 0."""
        return ceil(log(2) * (self.running.exponent + self.running.significand - 1))

    @property
    def bits(self) -> int:
        """The digits that the compiler counts on: in float64 no more than in float32."""
        return min(self.significand, FLOAT32.significand)

    @property
    def unit(self) -> Fraction:
        """Half a unit in the last of these digits, for a number of 1."""
        return Fraction(1, 1 << self.bits)

    @property
    def wider(self) -> DType | None:
        """The next one that represents all numbers of this one; None for float64."""
        return {FLOAT32: FLOAT64, FLOAT64: None}.get(self, FLOAT32)


FLOAT32 = DType("float32", 24, 127, "F32", "FLOAT", "ALL_F32")
FLOAT64 = DType("float64", 53, 1023, "F64", "DOUBLE")
FLOAT16 = DType("float16", 11, 15, "F16", "FLOAT16", "MOSTLY_F16")
BFLOAT16 = DType("bfloat16", 8, 127, "BF16", "BFLOAT16", "MOSTLY_BF16", is_in_numpy=False)

DTYPES = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16)
DTYPE_NAMES = tuple(each.name for each in DTYPES)


def dtype_named(name: str) -> DType:
    """The named dtype."""
    for each in DTYPES:
        if each.name == name:
            return each
    raise PrecisionError(
        f"weights cannot be of the type {name!r}", fix=f"use one of: {', '.join(DTYPE_NAMES)}"
    )


def numpy_dtype(name: str) -> np.dtype[np.floating]:
    """The NumPy type of that name."""
    return dtype_named(name).numpy
