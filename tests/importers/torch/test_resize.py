"""Resizing and sampling of pictures in torch."""

from .programs import INF, NAN, PICTURE, F, check, torch


def test_resizing():
    cases = {}
    sizes = {"up": {"size": (18, 16)}, "down": {"size": (5, 7)}, "by": {"scale_factor": (1.5, 0.7)}}
    sizes |= {"one": {"size": (9, 5)}, "nearly one and two": {"scale_factor": (1.1, 2.1)}}
    for size, where in sizes.items():
        for mode in ("nearest", "nearest-exact", "area"):
            cases[f"{mode} {size}"] = (
                lambda x, m=mode, w=where: F.interpolate(x, mode=m, **w),
                (PICTURE,),
            )
        for mode in ("bilinear", "bicubic"):
            for more in ({}, {"align_corners": True}, {"antialias": True}):
                cases[f"{mode} {size} {more}"] = (
                    lambda x, m=mode, w=where, o=more: F.interpolate(x, mode=m, **w, **o),
                    (PICTURE,),
                )
    grid = torch.rand(2, 5, 7, 2) * 2.6 - 1.3
    for padding in ("zeros", "border", "reflection"):
        cases[f"grid {padding}"] = (
            lambda x, g, p=padding: F.grid_sample(x, g, padding_mode=p, align_corners=False),
            (PICTURE, grid),
        )
    check(cases, 1e-4)


def test_resizing_reads_the_infinities_that_torch_reads():
    picture = torch.randn(1, 2, 5, 6)
    for at, value in {(0, 0, 0): INF, (0, 2, 3): INF, (1, 4, 5): -INF, (1, 1, 0): NAN}.items():
        picture[0][at] = value
    modes = {"nearest": {}, "bilinear": {}, "aligned": {"align_corners": True}}
    modes |= {"smooth": {"antialias": True}, "cubic": {"mode": "bicubic", "antialias": True}}
    cases = {
        f"{name} {size}": (
            lambda x, s=size, m={"mode": "nearest" if name == "nearest" else "bilinear", **more}: (
                F.interpolate(x, s, **m)
            ),
            (picture,),
        )
        for name, more in modes.items()
        for size in ((5, 6), (5, 9), (3, 6), (8, 2))
    }
    del cases["cubic (3, 6)"]  # one weight is near 0, and its sign depends on rounding
    check(cases, 1e-4)
