"""Reductions of torch."""

from .programs import EMPTY, INF, NAN, I, X, check, torch


def test_reductions():
    check(
        {
            "amax": (lambda x: x.amax((0, -1), keepdim=True), (X,)),
            "argmax": (lambda x: (x.argmax(), x.argmax(1, keepdim=True), x.argmin(0)), (X,)),
            "any": (lambda x: (x.any(1), x.all(-1), x.any()), (I,)),
            "max": (lambda x: (x.max(1), x.min(-1, keepdim=True)), (X,)),
            **{
                f"var {k}": (lambda x, k=k: torch.var(x, (0, 2), correction=k), (X,))
                for k in (0, 1, 2, 24, 30)
            },
            "var of one": (lambda x: x[:, :1].var(1), (X,)),
            **{
                f"norm {p}": (lambda x, p=p: torch.linalg.vector_norm(x, p, (0, -1)), (X,))
                for p in (0, 1, 2, 3, 1.5, INF, -INF)
            },
            "norm 0 with NaN": (
                lambda x: torch.linalg.vector_norm(x, 0),
                (torch.tensor([NAN, 0.0, 2.0]),),
            ),
            "topk": (lambda x: torch.topk(x, 3, 1, largest=False), (X,)),
            "extremes of truths": (lambda x: ((x > 0).max(1), (x > 9).min(0)), (X,)),
            "topk of a scalar and of nothing": (
                lambda x, y: (x[0, 0, 0].topk(1), y.topk(0, 1), y.max(0), y.argmin(0)),
                (X, EMPTY),
            ),
            "with means": (
                lambda x: (torch.var_mean(x, 1), torch.std_mean(x, (0, 2), correction=0)),
                (X,),
            ),
            "of what is no NaN": (
                lambda x: torch.where(x > 1, NAN, x)[..., None].nansum(0, keepdim=True),
                (X,),
            ),
            "cumprod": (lambda x: x.cumprod(1), (X,)),
            "of a scalar": (lambda x: (x.sum().sum(0), x.sum().softmax(0), x.sum().amax()), (X,)),
            "of nothing": (lambda x: (x.sum(1), x.mean(1), x.prod(1), x.any(1)), (EMPTY,)),
            "softmax": (lambda x: (x.softmax(0), x.log_softmax(1)), (X,)),
        }
    )
