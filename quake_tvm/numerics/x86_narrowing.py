"""LLVM IR that narrows vectors of float32 to bfloat16 by AVX512-BF16's instructions.

They take subnormal numbers for zero. The code has the names in braces that
:mod:`pair_instructions` fills in. Knows no operator of TVM.
"""

_REGISTER = 16  # float32 numbers

# Subnormal numbers are rounded with the least exponent of a normal number instead, as an integer,
# which is then subtracted again.
NARROW = """
define internal {short} @{name}({float} %x) alwaysinline {{
  %b = bitcast {float} %x to {integer}
  %e = and {integer} %b, splat (i32 2139095040)
  %least = icmp eq {integer} %e, zeroinitializer
  %o = or {integer} %b, splat (i32 8388608)
  %s = select {mask} %least, {integer} %o, {integer} %b
  %f = bitcast {integer} %s to {float}
  %y = fptrunc {float} %f to {half}
  %h = bitcast {half} %y to {short}
  %d = sub {short} %h, splat (i16 128)
  %r = select {mask} %least, {short} %d, {short} %h
  ret {short} %r
}}
"""


def narrow_many(lanes: int) -> str:
    """The code for vectors of several pairs of registers.

    Subnormal numbers are rare. One branch for a whole vector takes less time than the instructions
    that round them. It is not taken for zeros. Where the program has the CPU read subnormal numbers
    as zeros, their results are zeros.
    """
    count = lanes // _REGISTER
    lines = []
    for part in range(count):
        at = ", ".join(f"i32 {part * _REGISTER + k}" for k in range(_REGISTER))
        lines += [
            f"%p{part} = shufflevector {{float}} %x, {{float}} poison, <16 x i32> <{at}>",
            f"%c{part} = call <16 x i1> @llvm.x86.avx512.fpclass.ps.512"
            f"(<16 x float> %p{part}, i32 32)",
        ]
    any_so_far = "%c0"
    for part in range(1, count):
        lines.append(f"%k{part} = or <16 x i1> {any_so_far}, %c{part}")
        any_so_far = f"%k{part}"
    lines += [
        f"%bits = bitcast <16 x i1> {any_so_far} to i16",
        "%none = icmp eq i16 %bits, 0",
        "%likely = call i1 @llvm.expect.i1(i1 %none, i1 true)",
        "br i1 %likely, label %normal, label %subnormal",
        "normal:",
    ]
    joined = "poison"
    for pair in range(count // 2):
        low, high = f"<16 x float> %p{2 * pair}", f"<16 x float> %p{2 * pair + 1}"
        lines += [
            f"%h{pair} = call <32 x bfloat> @llvm.x86.avx512bf16.cvtne2ps2bf16.512({high}, {low})",
            f"%j{pair} = call {{half}} @llvm.vector.insert.v{lanes}bf16.v32bf16"
            f"({{half}} {joined}, <32 x bfloat> %h{pair}, i64 {2 * _REGISTER * pair})",
        ]
        joined = f"%j{pair}"
    lines += [
        f"%y = bitcast {{half}} {joined} to {{short}}",
        "ret {short} %y",
        "subnormal:",
        "%z = call {short} @{name}_subnormal({float} %x)",
        "ret {short} %z",
    ]
    body = "\n  ".join(lines)
    return f"""{NARROW.replace("@{name}", "@{name}_subnormal")}
define internal {{short}} @{{name}}({{float}} %x) alwaysinline {{{{
  {body}
}}}}
"""
