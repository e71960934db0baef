"""Products, convolutions, pools, norms and recurrent layers of torch."""

from .programs import EMPTY, NAN, PICTURE, SERIES, F, X, check, nn, torch


def test_products_convolutions_and_pools():
    rows = X[0]
    modules = {
        "conv2d": (nn.Conv2d(6, 4, (3, 2), (2, 1), (1, 0), (1, 2)), PICTURE),
        "conv2d groups": (nn.Conv2d(6, 12, 3, groups=3, padding="same"), PICTURE),
        "conv1d": (nn.Conv1d(6, 4, 4, padding="same", padding_mode="circular"), SERIES),
        "conv of one": (nn.Conv2d(6, 4, 1), PICTURE[0]),
        "transposed": (nn.ConvTranspose2d(6, 6, (3, 2), (2, 3), (1, 0), (1, 2), 3), PICTURE),
        "max pool": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), PICTURE),
        "mean pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), PICTURE),
        "mean pool without pads": (nn.AvgPool1d(3, 2, 1, count_include_pad=False), SERIES),
        "adaptive": (nn.AdaptiveAvgPool2d((3, 5)), PICTURE),
        "batch norm": (nn.BatchNorm2d(6, affine=False), PICTURE),
        "layer norm": (nn.LayerNorm((9, 8), bias=False), PICTURE),
        "group norm": (nn.GroupNorm(3, 6), PICTURE),
        "instance norm": (nn.InstanceNorm2d(6, affine=True), PICTURE),
        "rms norm": (nn.RMSNorm(8), PICTURE),
    }
    cases = {name: (m.eval(), (x,)) for name, (m, x) in modules.items()}
    cases["products"] = (
        lambda x: (x @ x.T, x @ x[0], torch.addmm(x[:, :5], x, x.T, beta=0.5, alpha=2)),
        (rows,),
    )
    cases["no summand"] = (lambda x: torch.addmm(x[:, :5] * NAN, x, x.T, beta=0), (rows,))
    cases["of nothing"] = (lambda x: (x.mT @ x, F.linear(x, torch.ones(3, 6))), (EMPTY,))
    cases["adaptive maxima"] = (
        lambda x, y: (F.adaptive_max_pool2d(x, (4, 3)), F.adaptive_max_pool1d(y, 4)),
        (PICTURE, SERIES),
    )
    check(cases, 1e-4)


def test_pools_with_a_divisor_of_whole_numbers_and_of_nothing():
    whole = (PICTURE * 9).int()
    nothing = PICTURE[:0]
    check(
        {
            **{
                f"divisor {divisor}, ceil {ceil}": (
                    lambda x, y, divisor=divisor, ceil=ceil: (
                        F.avg_pool2d(x, 3, 2, 1, ceil, True, divisor),
                        F.avg_pool2d(x.double(), (2, 3), 2, 1, ceil, False, divisor),
                        F.avg_pool2d(y.long(), 3, 2, 1, ceil, True, divisor),
                        F.avg_pool3d(x, 2, 3, 1, ceil, True, divisor),
                    ),
                    (PICTURE, whole),
                )
                for divisor in (2, -3)
                for ceil in (False, True)
            },
            "maxima": (
                lambda x: (F.max_pool2d(x, 3, 2, 1), F.max_pool2d(x.long(), 2, ceil_mode=True)),
                (whole,),
            ),
            "maxima and places": (
                lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True),
                (whole.to(torch.uint8),),
            ),
            "nothing": (
                lambda x: (
                    F.max_pool2d(x, 2, return_indices=True),
                    F.avg_pool2d(x, 2),
                    F.adaptive_avg_pool2d(x, 3),
                    F.group_norm(x, 1),
                    F.layer_norm(x, (9, 8)),
                ),
                (nothing,),
            ),
        }
    )


def test_places_of_maxima():
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}
    check(
        {
            "one": (lambda x: F.max_pool1d(x, **options), (SERIES,)),
            "two": (lambda x: F.max_pool2d(x, dilation=2, ceil_mode=True, **options), (PICTURE,)),
            "three": (lambda x: F.max_pool3d(x, **options), (PICTURE[None],)),
            "adaptive": (
                lambda x: F.adaptive_max_pool2d(x, (4, 3), return_indices=True),
                (PICTURE,),
            ),
            "there and back": (
                lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
                (PICTURE[..., :8, :],),
            ),
        }
    )
