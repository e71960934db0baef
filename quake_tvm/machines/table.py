"""The named targets, one row each. Knows LLVM's names for machines; nothing here asks LLVM.

A board with two kinds of cores is given to LLVM by its larger cores: both kinds have the same
instructions. Vector registers and other features follow from the CPU (``targets``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A named target: a description for people, and LLVM's options.

    Attributes
    ----------
    description : str
    mtriple, mcpu : str
        In LLVM's words.
    cores : int or None
        None if it is unknown: then the number of cores of this machine is used.
    more : mapping
        Further options of TVM's target.
    relay : bool
        Whether Relay's TVM can compile for it.
    """

    description: str
    mtriple: str
    mcpu: str | None = None
    cores: int | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    relay: bool = True


def _arm(description: str, mcpu: str | None, cores: int) -> Row:
    return Row(description, "aarch64-linux-gnu", mcpu, cores)


def _armv7(description: str, mcpu: str | None, cores: int) -> Row:
    """32-bit ARM with hardware floating point: Debian's armhf, the 32-bit Raspberry Pi OS."""
    more = {"mfloat-abi": "hard", "mattr": ["+neon", "+vfp4"]}
    return Row(description, "armv7l-linux-gnueabihf", mcpu, cores, more)


def _android(description: str, mcpu: str | None, cores: int) -> Row:
    """Android 7.0 (API level 24) and later."""
    return Row(description, "aarch64-linux-android24", mcpu, cores)


def _x86(description: str, mcpu: str) -> Row:
    return Row(description, "x86_64-linux-gnu", mcpu)


# Without vectors: TVM 0.27 uses scalable vectors here, which breaks kernels over rows. Relay's TVM,
# a vendor's build, only compiles for that vendor's vectors.
_RISCV = {"mabi": "lp64d", "mattr": ["+m", "+a", "+f", "+d", "+c"]}
_WASM = {"mattr": ["+simd128"]}

TARGETS = {
    # Instruction sets
    "aarch64": _arm("64-bit ARM", None, 4),
    "armv7": _armv7("32-bit ARM with NEON and VFPv4, hard float", None, 4),
    "x86-64-v2": _x86("x86-64 with SSE4.2 (2009 and later), no FMA", "x86-64-v2"),
    "x86-64-v3": _x86("x86-64 with AVX2 and FMA (2013 and later)", "x86-64-v3"),
    "x86-64-v4": _x86("x86-64 with AVX-512 (2017 and later)", "x86-64-v4"),
    "riscv64": Row("RISC-V GC, scalar", "riscv64-linux-gnu", "generic-rv64", 4, _RISCV, False),
    "wasm32": Row("WebAssembly with SIMD: objects only", "wasm32-wasi", "generic", 1, _WASM),
    # ARM's cores
    "cortex-a53": _arm("Cortex-A53: in order, two at a time (2014)", "cortex-a53", 4),
    "cortex-a55": _arm("Cortex-A55: in order, in most phones (2018)", "cortex-a55", 4),
    "cortex-a72": _arm("Cortex-A72: out of order, three wide (2016)", "cortex-a72", 4),
    "cortex-a76": _arm("Cortex-A76: out of order, four wide (2018)", "cortex-a76", 4),
    "cortex-a78": _arm("Cortex-A78: out of order, four wide (2020)", "cortex-a78", 4),
    "cortex-x1": _arm("Cortex-X1: out of order, five wide (2020)", "cortex-x1", 4),
    "neoverse-n1": _arm("Neoverse N1: the Cortex-A76 of servers (2019)", "neoverse-n1", 4),
    # Boards
    "raspberry-pi-zero-2-w": _arm("Raspberry Pi Zero 2 W: 4x Cortex-A53", "cortex-a53", 4),
    "raspberry-pi-3": _arm("Raspberry Pi 3B, 3B+: 4x Cortex-A53", "cortex-a53", 4),
    "raspberry-pi-4": _arm("Raspberry Pi 4B, 400: 4x Cortex-A72", "cortex-a72", 4),
    "raspberry-pi-5": _arm("Raspberry Pi 5, 500: 4x Cortex-A76", "cortex-a76", 4),
    "jetson-nano": _arm("Jetson Nano: 4x Cortex-A57", "cortex-a57", 4),
    # LLVM 17 does not know the A78AE, an A78 that can run in lockstep.
    "jetson-orin-nano": _arm("Jetson Orin Nano: 6x Cortex-A78AE", "cortex-a78", 6),
    "jetson-orin": _arm("Jetson AGX Orin: 12x Cortex-A78AE", "cortex-a78", 12),
    "rock-5b": _arm("ROCK 5B: 4x Cortex-A76, 4x A55", "cortex-a76", 8),
    "orange-pi-5": _arm("Orange Pi 5: 4x Cortex-A76, 4x A55", "cortex-a76", 8),
    "odroid-n2": _arm("ODROID-N2, N2+: 4x Cortex-A73, 2x A53", "cortex-a73", 6),
    "odroid-c4": _arm("ODROID-C4: 4x Cortex-A55", "cortex-a55", 4),
    "odroid-xu4": _armv7("ODROID-XU4: 4x Cortex-A15, 4x A7 (32-bit)", "cortex-a15", 8),
    # Phones
    "android-arm64": _android("Android on 64-bit ARM, 7.0 and later", None, 8),
    "android-cortex-a55": _android("Phones of little cores only: 8x Cortex-A55", "cortex-a55", 8),
    "android-cortex-a78": _android("Phones with Cortex-A78 (Dimensity 1200)", "cortex-a78", 8),
    "android-cortex-x1": _android("Phones with Cortex-X1 (Snapdragon 888)", "cortex-x1", 8),
    # Computers. TVM takes Apple's spelling of the architecture, arm64, for 32-bit ARM.
    "apple-m1": Row("Apple M1: 4 fast cores, 4 small ones", "aarch64-apple-macos", "apple-m1", 8),
    "skylake-server": _x86("Intel Xeon Skylake-SP (2017)", "skylake-avx512"),
    "cascade-lake": _x86("Intel Xeon Cascade Lake (2019)", "cascadelake"),
    "icelake-server": _x86("Intel Xeon Ice Lake-SP (2021)", "icelake-server"),
    "sapphire-rapids": _x86("Intel Xeon Sapphire Rapids (2023)", "sapphirerapids"),
    "zen2": _x86("AMD Zen 2 (2019): Ryzen 3000, EPYC Rome", "znver2"),
    "zen3": _x86("AMD Zen 3 (2020): Ryzen 5000, EPYC Milan", "znver3"),
    "zen4": _x86("AMD Zen 4 (2022): Ryzen 7000, EPYC Genoa", "znver4"),
    "zen5": _x86("AMD Zen 5 (2024): Ryzen 9000, EPYC Turin", "znver5"),
    "graviton2": _arm("AWS Graviton2: 64x Neoverse N1", "neoverse-n1", 64),
    "graviton3": _arm("AWS Graviton3: 64x Neoverse V1, SVE of 256 bits", "neoverse-v1", 64),
    "graviton4": _arm("AWS Graviton4: 96x Neoverse V2, SVE of 128 bits", "neoverse-v2", 96),
}
