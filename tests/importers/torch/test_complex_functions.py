"""Functions of complex numbers, also of zeros, infinities and large numbers."""

from .programs import INF, check, nn, torch

PLANE = torch.cartesian_prod(
    *[torch.tensor([0.0, -0.0, 0.3, -1.0, 2.5, 1e-30, -1e30, INF, -INF])] * 2
)
NEAR = torch.randn(40, 2) * 2


def same(function):
    return lambda x: torch.view_as_real(function(torch.view_as_complex(x)))


def test_functions_of_a_number():
    functions = {
        **{"sqrt": torch.sqrt, "log": torch.log, "exp": torch.exp, "rsqrt": torch.rsqrt},
        **{"sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "sigmoid": torch.sigmoid},
        **{"sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "sgn": torch.sgn},
        **{"log2": torch.log2, "log10": torch.log10, "exp2": torch.exp2},
        **{f"to {p}": lambda z, p=p: z**p for p in (-2, -0.5, 0, 0.5, 1, 2.5, 5, 1.5 - 2j)},
        "to a power": lambda z: z ** z.flip(0),
        "power of a number": lambda z: 2**z,
    }
    check({name: (same(function), (NEAR,)) for name, function in functions.items()}, 1e-4)


def test_zeros_infinities_and_large_numbers():
    check(
        {
            "sqrt": (same(torch.sqrt), (PLANE,)),
            "log": (same(torch.log), (PLANE,)),
            "norm": (lambda x: torch.view_as_complex(x).abs(), (PLANE,)),
            "exp": (same(torch.exp), (PLANE[PLANE[:, 0] != INF],)),
            "exp of large": (same(torch.exp), (torch.tensor([[89.0, 1.5], [INF, 0], [-104, 1]]),)),
            "is": (
                lambda x: [
                    function(torch.view_as_complex(x))
                    for function in (torch.isnan, torch.isinf, torch.isfinite)
                ],
                (PLANE,),
            ),
        }
    )


def test_log_is_accurate_near_a_size_of_one():
    angle = torch.linspace(-3, 3, 64)
    near = torch.stack([angle.cos(), angle.sin()], -1)
    check({"log": (lambda x: torch.view_as_complex(x).log().real * 1e5, (near,))}, 1e-4)


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolve = nn.Conv1d(4, 3, 3, padding=1, dtype=torch.cfloat)
        self.turn = nn.ConvTranspose1d(3, 2, 3, bias=False, dtype=torch.cfloat)
        self.linear = nn.Linear(11, 5, dtype=torch.cfloat)

    def forward(self, x):
        z = self.linear(self.turn(self.convolve(torch.view_as_complex(x))))
        return torch.view_as_real(z), torch.linalg.vector_norm(z, dim=1), z.norm()


def test_layers():
    check({"layers": (Layers().eval(), (torch.randn(2, 4, 9, 2),))})


def test_writes_and_sums():
    def written(x):
        z, places = torch.view_as_complex(x), torch.tensor([0, 2, 2])
        zero = torch.zeros_like(z)
        zero[1] = z[0] + 1j
        added = torch.zeros_like(z).index_add(0, places, z[:3])
        sums = zero.scatter_add(0, places[:, None].expand(3, 4), z[:3])
        found = (zero, added, sums, torch.add(z, zero, alpha=2), torch.sub(z, z, alpha=1j))
        return [torch.view_as_real(value) for value in found]

    check({"written": (written, (torch.randn(5, 4, 2),))})
