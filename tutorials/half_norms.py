"""Norms that sum in float16: without a scale, and with static scales from the weights.

SmolLM2-135M has rows whose sum of squares is 6e8, where float16 ends at 65,504. Its norms are
computed here as a CPU with float16 instructions would: each of eight lanes adds its squares, with
one rounding for each. Perplexity on three news texts shows what that does to the model, with and
without the scales of ``quake_tvm.norm_scales``, and with and without a guard: a row whose sum is
infinite or tiny is computed again in float32.

    python tutorials/half_norms.py            # SmolLM2-135M: downloads 93 MB, minutes
    python tutorials/half_norms.py --small    # a small random model instead
"""

import argparse
import sys
from collections.abc import Sequence

import model_data
from sentence_encoder import fail

# Elements of a vector of float16 on ARM.
LANES = 8
TEXTS, TOKENS = 3, 80
# Sums of squares that have lost digits in float16.
TINY = 2.0**-10


def run(arguments: argparse.Namespace) -> None:
    """Print the scales and the perplexities."""
    import torch

    import llama
    import quake_tvm

    torch.set_num_threads(1)
    with torch.no_grad():
        if arguments.small:
            sizes = llama.Sizes(layers=2, width=64, inner=128, heads=4, pairs=2, vocabulary=96)
            model = llama.random(sizes, seed=0, growth=2000.0)
            texts = list(torch.randint(96, (TEXTS, 24), generator=torch.Generator().manual_seed(1)))
        else:
            model, tokenizer = llama.read(model_data.language_model())
            news = model_data.lee_documents().read_text(encoding="latin-1").splitlines()
            texts = [torch.tensor(tokenizer.encode(t).ids[:TOKENS]) for t in news[:TEXTS]]
        program = torch.export.export(model, (texts[0][None],))
        found = quake_tvm.norm_scales(program)
        print("norm  typical    proven     scale  claim")
        for norm in found.norms:
            sizes = f"{norm.typical:8.4g} {norm.proven:9.3g} {norm.scale:9.3g}"
            print(f"{norm.number:4} {sizes}  {norm.claim}")
        print(found.verdict)
        scales = [norm.scale or 1.0 for norm in found.norms]
        expected = perplexity(model, texts)
        print(f"float32: perplexity {expected:.3f}")
        for name, factors in (("without scales", [1.0] * len(scales)), ("with scales", scales)):
            for guard in (False, True):
                model.norm = half = HalfNorm(factors, guard)
                measured = perplexity(model, texts)
                print(
                    f"float16 norms {name}, {half.again if guard else 'no'} rows guarded: "
                    f"perplexity {measured:.3f} ({measured / expected - 1:+.3%})"
                )


def perplexity(model: "torch.nn.Module", texts: "Sequence[torch.Tensor]") -> float:  # noqa: F821
    """exp of the mean loss of each next token."""
    import torch
    from torch.nn import functional as F

    logits = [model(text[None])[0, :-1] for text in texts]
    pairs = zip(logits, texts, strict=True)
    losses = [F.cross_entropy(y, text[1:], reduction="none") for y, text in pairs]
    return float(torch.cat(losses).mean().exp())


class HalfNorm:
    """rms_norm of rows in float16, whose squares are summed in float16.

    Parameters
    ----------
    scales : sequence of float
        Of each norm.
    guard : bool
        Whether rows whose sum is infinite or tiny are computed again in float32.

    Attributes
    ----------
    again : int
        The rows that were computed again so far.
    """

    def __init__(self, scales: Sequence[float], guard: bool) -> None:
        self.scales, self.guard = scales, guard
        self.again = 0

    def __call__(
        self,
        x: "torch.Tensor",  # noqa: F821
        gamma: "torch.Tensor",  # noqa: F821
        epsilon: float,
        number: int,
    ) -> "torch.Tensor":  # noqa: F821
        """The norm; the mean, epsilon and the root are float32."""
        import torch

        scale, length = self.scales[number], x.shape[-1]
        row = (x.half() * scale).float()
        total = torch.zeros(*x.shape[:-1], LANES)
        for start in range(0, length, LANES):
            part = row[..., start : start + LANES]
            total = (total + part * part).half().float()  # a product and a sum, rounded once
        square = total.sum(-1, keepdim=True)
        if self.guard:
            lost = ~(square < torch.inf) | (square < TINY)
            self.again += int(lost.sum())
            wide = x.half().float() * scale
            square = torch.where(lost, (wide * wide).sum(-1, keepdim=True), square)
        normal = row * torch.rsqrt(square / length + epsilon * scale**2)
        return (normal.half().float() * gamma).half().float()


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run; returns the exit status."""
    import quake_tvm

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a random model; no download")
    arguments = parser.parse_args(argv)
    try:
        run(arguments)
    except (model_data.DataError, quake_tvm.QuakeError) as error:
        return fail(str(error))
    except ImportError as error:
        return fail(f"{error}: pip install 'quake-tvm[tasks]'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
