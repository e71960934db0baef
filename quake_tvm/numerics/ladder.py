"""The ladder: polynomials for 2^f on each rung, and for the other functions of the formulas.

With z = x*log2(e), exp(x) = 2^floor(z) * 2^f with f in [0, 1). The integer part goes into the
exponent bits, the fraction through a polynomial. A rung is named by the polynomial's degree:

=======  ===========================================  ==========  ============ rung     2^f
error       at x =======  ===========================================  ==========  ============
quake1   1 + f, the float's own bits (QuAKE)          2.99e-2     81.1285019 quake2   1 + 2f/3 +
f^2/3, its slope joins (QuAKE2)   2.66e-3     86.7523270 quake3   minimax cubic with p(0) = 1, p(1)
= 2        1.05e-4     88.3522186 quake4   minimax quartic with p(0) = 1, p(1) = 2      4.58e-6
88.0759201 quake5   minimax quintic with p(0) = 1, p(1) = 2      1.96e-7     -1.55836535 =======
===========================================  ==========  ============

The error is the largest relative error of the compiled exp over all float32, with the input where
it occurs. ``bounds.json`` has these numbers for every operator; the tests read it. QuAKE is arXiv
2412.00408. quake2 is a reconstruction: it has the continuity and the 0.34 % that the paper states
for QuAKE2. The first two are scaled to balance their error about zero. quake3 and up are exact at
every power of two.

``python -m quake_tvm.numerics.derivation`` derives every number below. Knows numpy only.
"""

import math
from dataclasses import dataclass

import numpy as np

LOG2E = math.log2(math.e)
METHODS = ("quake1", "quake2", "quake3", "quake4", "quake5")

# For |x| below TANH_SWITCH (ERF_SWITCH) tanh (erf) uses its odd polynomial, above it the form built
# on exp. Above the switch the error passed on from exp, delta/sinh(2x) (delta*erfc(x)/erf(x)), is
# below exp's own error delta. On the two lowest rungs tanh uses one odd polynomial everywhere.
# expm1 uses its polynomial for |x| below |EXPM1_SWITCH| and exp(x) - 1 beyond.
TANH_SWITCH = 0.45
ERF_SWITCH = 0.5
EXPM1_SWITCH = -0.9
# erfcx is fitted on [0, 2*ERFCX_CENTER] in powers of u - ERFCX_CENTER, so that Horner's rule has no
# cancellation.
ERFCX_CENTER = 2.25

EXP2 = {
    "quake1": (0.970178783, 0.970178783),
    "quake2": (0.999228239, 0.666152179, 0.33307609),
    "quake3": (1.0, 0.695424318, 0.226307675, 0.0782679692),
    "quake4": (1.0, 0.693032146, 0.241379768, 0.0520323701, 0.0135557475),
    "quake5": (1.0, 0.693151712, 0.240159273, 0.0558186769, 0.00899099465, 0.00187931862),
}
EXPM1 = {
    "quake1": (0.999177992, 0.484493256, 0.119475305),
    "quake2": (0.999963582, 0.498776615, 0.159928948, 0.0291687753),
    "quake3": (0.999998629, 0.499928802, 0.166046917, 0.039726153, 0.00574237062),
    "quake4": (0.99999994, 0.499996722, 0.166625187, 0.0414714925, 0.00790921785, 0.000946354819),
    "quake5": (
        1.0,
        0.499999881,
        0.166664496,
        0.0416524038,
        0.00828807801,
        0.00131375622,
        0.000134060552,
    ),
}
LOG1P = {
    "quake1": (1.0, -0.489695996, 0.26069358, -0.0781840384),
    "quake2": (1.0, -0.497774482, 0.309224755, -0.161363035, 0.0431062579),
    "quake3": (
        1.0,
        -0.499907464,
        0.331404269,
        -0.236113459,
        0.151027754,
        -0.0678512529,
        0.0145883346,
    ),
    "quake4": (
        1.0,
        -0.499981791,
        0.332840651,
        -0.245368659,
        0.178472087,
        -0.109022923,
        0.0449866541,
        -0.00877895858,
    ),
    "quake5": (
        1.0,
        -0.499999315,
        0.33330512,
        -0.249585882,
        0.196954012,
        -0.153553978,
        0.10680557,
        -0.0576644614,
        0.0202045944,
        -0.00331847463,
    ),
}
TANH = {
    "quake1": (0.973893046, -0.215175748, 0.0225045197),
    "quake2": (
        0.99757576,
        -0.309504002,
        0.0893478245,
        -0.0170814171,
        0.00192886847,
        -0.000115235714,
        2.79405208e-06,
    ),
    "quake3": (0.999999762, -0.33329466, 0.132363692, -0.0460281931),
    "quake4": (0.999999762, -0.33329466, 0.132363692, -0.0460281931),
    "quake5": (1.0, -0.333332151, 0.133285865, -0.0532985032, 0.0179233346),
}
ERF = {
    "quake1": (1.12753892, -0.34925738),
    "quake2": (1.12836671, -0.375239074, 0.103267305),
    "quake3": (1.12836671, -0.375239074, 0.103267305),
    "quake4": (1.12837899, -0.376107335, 0.112456292, -0.0243893117),
    "quake5": (1.12837911, -0.376126081, 0.112828225, -0.0267571844, 0.00471799029),
}
ERFCX = {
    "quake1": (
        0.231262654,
        -0.0883902386,
        0.0283899661,
        -0.0151845636,
        0.00848416798,
        0.00719446084,
        0.0034688497,
    ),
    "quake2": (
        0.231074527,
        -0.0884478167,
        0.0324086696,
        -0.0109293517,
        0.0021582765,
        -0.00235505775,
        0.00103001518,
        0.000955284166,
        0.000358427176,
    ),
    "quake3": (
        0.231088132,
        -0.088492021,
        0.0319535732,
        -0.0109763825,
        0.00383539638,
        -0.00105888303,
        7.12076508e-05,
        -0.000332780794,
        7.42929915e-05,
        8.90380034e-05,
        3.00889642e-05,
    ),
    "quake4": (
        0.231087193,
        -0.0884859785,
        0.0319961905,
        -0.0110062463,
        0.00359288137,
        -0.00114688906,
        0.000400738092,
        -7.1093149e-05,
        -2.12166555e-07,
        -3.80841375e-05,
        2.03640661e-06,
        6.30451177e-06,
        2.12412056e-06,
    ),
    "quake5": (
        0.231087267,
        -0.0884865448,
        0.0319922939,
        -0.0110016633,
        0.00362191838,
        -0.00114354375,
        0.000340926694,
        -0.000106894106,
        3.62031824e-05,
        -2.12022474e-06,
        5.91760113e-07,
        -3.38286782e-06,
        -2.15666418e-07,
        3.49649497e-07,
        1.29267619e-07,
    ),
}
LOG = (
    1.0,
    -0.499999881,
    0.333333254,
    -0.250015855,
    0.200019687,
    -0.166090131,
    0.141818345,
    -0.132434607,
    0.129046649,
    -0.0762112215,
)


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder.

    Attributes
    ----------
    name : str
        The method's name, one of ``METHODS``.
    exp2, expm1, log1p, tanh, erf, erfcx : tuple of float
        float32 coefficients, lowest power first. :mod:`quake_tvm.numerics.derivation` says for each
        the function, the interval and the weight of the error.
    """

    name: str
    exp2: tuple[float, ...]
    expm1: tuple[float, ...]
    log1p: tuple[float, ...]
    tanh: tuple[float, ...]
    erf: tuple[float, ...]
    erfcx: tuple[float, ...]

    @property
    def degree(self) -> int:
        """Degree of the polynomial for 2^f, 1 to 5."""
        return len(self.exp2) - 1

    @property
    def tanh_whole(self) -> bool:
        """Whether ``tanh`` is used until it reaches 1; otherwise it is used up to TANH_SWITCH."""
        return self.degree <= 2


LADDER = {
    name: Rung(name, EXP2[name], EXPM1[name], LOG1P[name], TANH[name], ERF[name], ERFCX[name])
    for name in METHODS
}


def affine_exp2(scale: float, shift: float = 0.0) -> tuple[float, float, float]:
    """Fold exp(scale*x + shift) = 2^(a*x + b) into constants.

    Parameters
    ----------
    scale, shift : float
        The factor and the summand of the affine input.

    Returns
    -------
    a, a_low, b : float
        float32 values: ``a + a_low`` is scale*log2(e) to twice the precision of float32, ``b`` is
        shift*log2(e) rounded once.
    """
    exact = scale * LOG2E
    a = float(np.float32(exact))
    return a, float(np.float32(exact - a)), float(np.float32(shift * LOG2E))
