"""Published models with symbolic dimensions: one build, at several sizes, against ONNX Runtime.

Without a network the tests are skipped.
"""

import numpy as np
import onnx
import onnxruntime
import pytest

import model_data
import quake_tvm
from any_size_models import MODELS

pytestmark = pytest.mark.sweep


@pytest.mark.parametrize("name", MODELS)
def test_one_build_is_right_at_every_size(name: str) -> None:
    published = MODELS[name]
    try:
        model = onnx.load(published.path())
    except model_data.DataError as error:
        pytest.skip(str(error))
    compiled = quake_tvm.compile(model, method="exact")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for shapes in published.shapes:
        feeds = published.feeds(model, shapes)
        wanted = session.run(None, feeds)
        for got, want in zip(compiled.run(feeds), wanted, strict=True):
            scale = max(1.0, float(np.abs(want).max()))
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * scale, err_msg=str(shapes))
