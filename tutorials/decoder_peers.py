"""The same decoder in this library and in its peers, each with its best settings.

Every contender keeps the cache of one conversation: ``begin`` forgets it, ``step`` takes the next
tokens and returns the logits of the last one.
"""

from typing import Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

import cached_llama
import llama
import onnx_llama
import quake_tvm
from cached_llama import CachedLlama


class Contender(Protocol):
    """A decoder with a cache."""

    def begin(self) -> None:
        """Forget all tokens."""

    def step(self, tokens: NDArray) -> NDArray:
        """Tokens int64 (1, count) to logits (1, 1, vocabulary) of the last one."""


class Here:
    """This library: a session."""

    def __init__(self, weights: llama.Llama, capacity: int, method: str) -> None:
        program = cached_llama.exported(CachedLlama(weights, capacity))
        self.session = quake_tvm.compile(program, method=method).session()

    def begin(self) -> None:
        self.session.reset()

    def step(self, tokens: NDArray) -> NDArray:
        return self.session.run(tokens)[0]


class GrowingLlama(CachedLlama):
    """A decoder as users of PyTorch write it: the cache grows by concatenation."""

    def begin(self) -> None:
        """Forget all tokens."""
        depth = self.sizes.width // self.sizes.heads
        self.length.fill_(0)
        self.cache = {
            n: (torch.zeros(1, self.sizes.pairs, 0, depth),) * 2 for n in range(self.sizes.layers)
        }

    def _mixed(self, n: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        keys, values = self.cache[n]
        keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        self.cache[n] = keys, values
        causal = q.shape[2] > 1
        return F.scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=True)


class Eager:
    """PyTorch in eager mode, with a cache that grows by concatenation."""

    def __init__(self, weights: llama.Llama, capacity: int) -> None:
        self.decoder = GrowingLlama(weights, capacity)

    def begin(self) -> None:
        self.decoder.begin()

    def step(self, tokens: NDArray) -> NDArray:
        return self.decoder(torch.from_numpy(tokens)).numpy()


class Compiled:
    """PyTorch compiled by inductor, with a static cache and frozen weights.

    Attention reads the whole cache, so ``capacity`` should be no more than the tokens that come.
    Each number of tokens is compiled by itself.
    """

    def __init__(self, weights: llama.Llama, capacity: int) -> None:
        self.decoder = CachedLlama(weights, capacity)
        self.compiled = torch.compile(
            self.decoder, dynamic=False, fullgraph=True, options={"freezing": True}
        )

    def begin(self) -> None:
        self.decoder.length.fill_(0)

    def step(self, tokens: NDArray) -> NDArray:
        with torch.inference_mode():
            return self.compiled(torch.from_numpy(tokens)).numpy()


class OnnxRuntime:
    """The file of ``onnx_llama.py`` in ONNX Runtime. The cache is bound, not copied to numpy."""

    def __init__(self, weights: llama.Llama, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        file = onnx_llama.decoder(weights).SerializeToString()
        self.session = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
        self.names = [given.name for given in self.session.get_inputs()]
        self.nothing = onnx_llama.nothing(weights)
        self.begin()

    def begin(self) -> None:
        self.past = [onnxruntime.OrtValue.ortvalue_from_numpy(x) for x in self.nothing]

    def step(self, tokens: NDArray) -> NDArray:
        inputs = onnx_llama.first_inputs(tokens, self.past[0].shape()[2])
        given = [onnxruntime.OrtValue.ortvalue_from_numpy(x) for x in inputs]
        binding = self.session.io_binding()
        for name, value in zip(self.names, [*given, *self.past], strict=True):
            binding.bind_ortvalue_input(name, value)
        for made in self.session.get_outputs():
            binding.bind_output(made.name)
        self.session.run_with_iobinding(binding)
        logits, *self.past = binding.get_outputs()
        return logits.numpy()


class OpenVINO:
    """The same file in OpenVINO, its cache made a state as optimum-intel does."""

    def __init__(self, weights: llama.Llama, threads: int) -> None:
        import openvino
        from openvino._offline_transformations import apply_make_stateful_transformation

        core = openvino.Core()
        model = core.read_model(onnx_llama.decoder(weights).SerializeToString())
        names = [name for given in model.inputs for name in given.names]
        shapes = [[1, *list(given.partial_shape)[1:]] for given in model.inputs]
        model.reshape(dict(zip(names, map(openvino.PartialShape, shapes), strict=True)))
        self.first, past = names[:3], names[3:]
        present = [name for made in model.outputs[1:] for name in made.names]
        apply_make_stateful_transformation(model, dict(zip(past, present, strict=True)))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
            "ENABLE_CPU_PINNING": False,  # pinning would affect the thread that all run in
        }
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.before = 0

    def begin(self) -> None:
        self.request.reset_state()
        self.before = 0

    def step(self, tokens: NDArray) -> NDArray:
        inputs = onnx_llama.first_inputs(tokens, self.before)
        self.before += tokens.shape[1]
        made = self.request.infer(dict(zip(self.first, inputs, strict=True)), share_outputs=True)
        return np.array(made[0])
