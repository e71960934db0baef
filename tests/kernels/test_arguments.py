"""Arrays to call kernels with: reproducible, and with digests that any changed bit changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quake_tvm.kernels.arguments import digest, examples

DESCRIPTIONS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=3).map(tuple),
        st.sampled_from(["float32", "float16", "float64", "int32", "int64", "uint8", "bool"]),
    ),
    max_size=4,
)


@given(DESCRIPTIONS)
def test_they_follow_from_shapes_and_dtypes(descriptions):
    arrays = examples(descriptions)
    assert [(array.shape, str(array.dtype)) for array in arrays] == descriptions
    assert digest(arrays) == digest(examples(descriptions))
    for array in arrays:
        if array.dtype.kind != "f":
            assert not array.any()  # 0 is a valid index for every tensor


@pytest.mark.parametrize("bit", [0, 31])
def test_a_bit_tells_arrays_apart(bit):
    (array,) = examples([((3, 5), "float32")])
    other = array.copy()
    other.view(np.uint32)[1, 2] ^= np.uint32(1 << bit)
    assert digest([array]) != digest([other])
    assert digest([array.T]) == digest([np.ascontiguousarray(array.T)])
