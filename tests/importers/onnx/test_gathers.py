"""ScatterND at places in several dimensions whose extents only the run knows."""

import numpy as np
import pytest

import quake_tvm
from tests.importers.onnx.models import make, node


def test_places_in_several_dynamic_dimensions():
    model = make(
        [node("ScatterND", ["x", "places", "new"], ["y"])],
        {"x": ["a", 4, "b"], "places": ["c", "d", 2], "new": ["e", "f", "b"]},
        {"y": None},
    )
    model.graph.input[1].type.tensor_type.elem_type = 7  # int64
    compiled = quake_tvm.compile(model, method="exact")
    for c, d in ((2, 3), (1, 1), (0, 2)):
        x = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
        places = np.stack(np.divmod(np.arange(c * d) * 2, 4), -1).reshape(c, d, 2)
        new = -np.arange(c * d * 5, dtype=np.float32).reshape(c, d, 5)
        y = x.copy()
        y[places[..., 0], places[..., 1]] = new
        np.testing.assert_array_equal(compiled.run(x, places, new)[0], y)
    for sizes in ((3, 2, 5), (2, 4, 5), (1, 3, 5)):
        with pytest.raises(quake_tvm.QuakeError) as error:
            compiled.run(x, np.zeros((2, 3, 2), np.int64), np.zeros(sizes, np.float32))
        assert str(error.value).startswith("ScatterND")
