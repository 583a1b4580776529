"""The facts of a dtype, held against NumPy, ml_dtypes, softmax and the packages of the file formats."""

from __future__ import annotations

from math import log

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save

from handcraft.dtype import DTYPE_NAMES, DTYPES, DTypeName, dtype_named
from handcraft.errors import PrecisionError
from handcraft.model.layers.attention import softmax

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=DTYPE_NAMES)


@each_dtype
def test_the_two_sizes_of_a_dtype_give_the_facts_of_the_type_itself(dtype):
    facts = ml_dtypes.finfo(dtype.numpy)
    assert dtype.numpy.name == dtype.name
    assert dtype.significand == facts.nmant + 1
    assert dtype.largest == float(facts.max)
    assert float(facts.smallest_subnormal) == 2.0 ** (2 - dtype.exponent - dtype.significand)
    whole = [dtype.whole - 1, dtype.whole, dtype.whole + 1]
    assert [int(dtype.numpy.type(n)) == n for n in whole] == [True, True, False]


@each_dtype
def test_the_underflow_is_the_first_whole_gap_at_which_softmax_gives_exactly_0(dtype):
    gaps = np.array([[0, -dtype.underflow], [0, 1 - dtype.underflow]], dtype.running.numpy)
    (_, hard), (_, soft) = softmax(gaps)
    assert hard == 0 < soft


@each_dtype
def test_a_wider_dtype_represents_every_number(dtype):
    if dtype.wider is None:
        assert all(log(dtype.largest) >= log(other.largest) for other in DTYPES)
    else:
        assert np.can_cast(dtype.numpy, dtype.wider.numpy, "safe")
        assert dtype.wider.significand > dtype.significand


@each_dtype
def test_file_formats_know_the_codes_of_a_dtype(dtype):
    header = save({"x": np.zeros(1, dtype.numpy)})
    assert f'"dtype":"{dtype.code}"'.encode() in header
    onnx = pytest.importorskip("onnx")
    assert onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, dtype.onnx)) == dtype.numpy
    gguf = pytest.importorskip("gguf")
    assert dtype.code in gguf.GGMLQuantizationType.__members__
    assert dtype.gguf is None or dtype.gguf in gguf.LlamaFileType.__members__
    assert dtype.is_in_numpy == (dtype.numpy.isbuiltin == 1)


def test_a_dtype_is_found_by_each_name_and_by_no_other():
    assert [dtype_named(name) for name in DTypeName.__args__] == list(DTYPES)
    with pytest.raises(PrecisionError, match="cannot be of the type 'float8'"):
        dtype_named("float8")
