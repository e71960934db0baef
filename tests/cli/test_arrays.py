"""The arrays that a command feeds a model: from files, or at random."""

from typing import ClassVar

import numpy as np
import pytest

from quake_tvm import QuakeError
from quake_tvm.cli.arrays import feeds_for
from quake_tvm.runtime.model_tensor import ModelTensor


class Two:
    """What ``feeds_for`` asks a model: inputs and ranges."""

    inputs = (ModelTensor("x", ("n", 8), "float32"), ModelTensor("ids", ("n",), "int64"))
    ranges: ClassVar[dict] = {}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.full((3, 8), 2, np.float32))
    np.savez("both.npz", x=np.full((3, 8), 4, np.float32), ids=np.arange(3))
    np.savez("ids.npz", ids=np.arange(3))


def test_by_name_or_many_in_one_file(files):
    found = feeds_for(Two, ["x=x.npy"], {}, 0)
    assert found["x"].max() == 2
    assert found["ids"].tolist() == [1, 1, 1]
    found = feeds_for(Two, ["both.npz"], {}, 0)
    assert found["x"].max() == 4
    assert found["ids"].tolist() == [0, 1, 2]
    found = feeds_for(Two, ["x=x.npy", "ids.npz"], {}, 0)
    assert found["x"].max() == 2
    assert found["ids"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (["x.npy"], "--input takes NAME=FILE.npy or FILE.npz, not 'x.npy'"),
        (["x=x.npy", "both.npz"], "--input gives 'x' twice"),
        (["x=both.npz"], "cannot read both.npz as .npy: it is a .npz file"),
        (["missing.npz"], "cannot read missing.npz: no such file"),
    ],
)
def test_what_the_user_got_wrong(files, items, says):
    with pytest.raises(QuakeError) as error:
        feeds_for(Two, items, {}, 0)
    assert str(error.value).startswith(says)
