"""Complex values inside programs, and Fourier transforms."""

import pytest

from .programs import INF, SERIES, X, Y, check, nn, torch

LARGE = torch.cartesian_prod(*[torch.tensor([0.0, 1.0, -2.0, 1e30, 1e-30, INF])] * 2)


def large(x):
    return torch.view_as_complex(x)


def pairs(x):
    return torch.view_as_complex(x.reshape(4, 5, 3, 2))


class Rotary(nn.Module):
    """Rotary embeddings with a table of complex numbers, as in the first Llama."""

    def __init__(self):
        super().__init__()
        angles = torch.outer(torch.arange(5.0), 10000 ** (-torch.arange(3.0) / 3))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x):
        return torch.view_as_real(pairs(x) * self.turns).flatten(2)


def test_complex_values():
    check(
        {
            "rotary": (Rotary().eval(), (X,)),
            "mul, div": (lambda x, y: torch.view_as_real(pairs(x) / (pairs(y) * 2 + 1j)), (X, Y)),
            "quotients of large and of no values": (
                lambda x: torch.view_as_real(large(x)[:, None] / large(x)),
                (LARGE,),
            ),
            "reciprocal": (lambda x: torch.view_as_real(1 / large(x)), (LARGE,)),
            "powers": (lambda x: torch.view_as_real(pairs(x) ** 2 + pairs(x) ** 3), (X,)),
            "matmul": (
                lambda x, y: [
                    torch.view_as_real(z)
                    for z in (
                        pairs(x).mT @ pairs(y),
                        pairs(x) @ pairs(y)[0, 0],
                        torch.addmm(pairs(x)[0], pairs(y)[0, :, :3], pairs(x)[0, :3]),
                    )
                ],
                (X, Y),
            ),
            "equality": (
                lambda x: (pairs(x) == pairs(x).real, pairs(x) != pairs(x).roll(5)),
                (X.round(),),
            ),
            "filled": (
                lambda x: [
                    torch.view_as_real(z)
                    for z in (
                        torch.full((3,), 1 + 2j) * pairs(x),
                        pairs(x).masked_fill(x[..., :3] > 0, 2j),
                        pairs(x).index_put((torch.tensor([1]),), pairs(x)[0]),
                    )
                ],
                (X,),
            ),
            "imaginary part of a conjugate": (lambda x: pairs(x).conj().imag * 2, (X,)),
            "polar": (lambda x, y: torch.polar(x, y).real + torch.polar(x, y).imag, (X, Y)),
            "abs, angle": (lambda x, y: (torch.complex(x, y).abs(), pairs(x).angle()), (X, Y)),
            "conj": (
                lambda x: torch.view_as_real((pairs(x).conj() - pairs(x)).resolve_conj()),
                (X,),
            ),
            "real + complex": (lambda x, y: torch.view_as_real(x[..., :3] + pairs(y)), (X, Y)),
            "exp": (lambda x: torch.view_as_real(torch.exp(pairs(x) * 1j)), (X,)),
            "real values among complex ones": (
                lambda x: [
                    torch.view_as_real(z)
                    for z in (
                        torch.where(x[..., :3] > 0, pairs(x), x[..., 3:]),
                        pairs(x).clone().copy_(x[..., :3]),
                        torch.slice_scatter(pairs(x), x[:2, :, :3] + 0j, 0, 0, 2),
                        torch.nn.functional.pad(pairs(x), (1, 0), value=3.0),
                        torch.cat([x[..., :3], pairs(x)]),
                    )
                ],
                (X,),
            ),
            "abs of infinities": (
                lambda x: torch.complex(x, x.flip(0)).abs(),
                (torch.tensor([INF, 1.0, 2.0, -INF]),),
            ),
            "movement": (
                lambda x: torch.view_as_real(
                    torch.cat([pairs(x)[1:, :, None].mT, pairs(x)[:2].unsqueeze(-1)]).flip(0).sum(1)
                ),
                (X,),
            ),
        }
    )


@pytest.mark.parametrize("n", [1, 2, 7, 64, 90, 127, 160])
def test_fourier_transforms(n):
    x = torch.randn(2, n, 3)
    near = lambda spectrum: torch.view_as_real(spectrum)  # noqa: E731
    check(
        {
            "rfft": (lambda x: near(torch.fft.rfft(x, dim=1)), (x,)),
            "fft": (lambda x: near(torch.fft.fft(x, dim=1, norm="ortho")), (x,)),
            "ifft": (lambda x: near(torch.fft.ifft(torch.complex(x, x.flip(0)), dim=1)), (x,)),
            "irfft": (
                lambda x: torch.fft.irfft(torch.complex(x, x.flip(0)), n=2 * n - 1, dim=1),
                (x,),
            ),
            "there and back": (
                lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=1), n=x.shape[1], dim=1),
                (x,),
            ),
        },
        2e-4 if n > 100 else 5e-5,
    )


def test_transforms_of_images_and_of_windows():
    window = torch.hann_window(8)
    check(
        {
            "rfft2": (lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * 2, s=x.shape[-2:]), (X,)),
            "fft2 of a real": (lambda x: torch.fft.fft2(x).real, (X,)),
            "stft": (
                lambda x: torch.stft(x[0], 8, 3, window=window, return_complex=True).abs(),
                (SERIES,),
            ),
        }
    )
