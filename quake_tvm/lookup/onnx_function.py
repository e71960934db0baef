"""Look-ups in ONNX files: a node of this library's domain, and its meaning in ONNX's operators.

A file with such nodes carries the operator as a function. So every runtime computes it; this
library's importer takes the node as it is. Knows no TVM.
"""

import onnx
from onnx import helper, parser

from ..errors import QuakeError
from ..importers.onnx.own_operators import CHOICE, DOMAIN, LOOKUP, SCALED_LOOKUP

# The opset of new models. In ``AXES_INPUT`` the last reductions got their axes as an input, in
# ``OLDEST`` the others.
OPSET, AXES_INPUT, OLDEST = 17, 18, 13
_NAMES = {False: LOOKUP, True: SCALED_LOOKUP}
_TEXT = """
<domain: "{domain}", opset_import: ["": {opset}]>
{name} <bits> ({inputs}) => (y)
{{
    bits = Constant <value_int: int = @bits> ()
    zero = Constant <value = int64 {{0}}> ()
    one = Constant <value = int64 {{1}}> ()
    two = Constant <value = int64 {{2}}> ()
    last = Constant <value = int64[1] {{-1}}> ()
    above = Constant <value = int64[1] {{-2}}> ()
    nothing = Constant <value = float {{0.0}}> ()
    unit = Constant <value = float {{1.0}}> ()
    minus_two = Constant <value = float {{-2.0}}> ()
    entries = Pow (two, bits)
    shape = Shape (z)
    start = Constant <value = int64[1] {{0}}> ()
    outer = Slice (shape, start, last)
    bits_list = Unsqueeze (bits, start)
    end = Constant <value = int64[1] {{9223372036854775807}}> ()
    columns = Slice (shape, last, end)
    count = Div (columns, bits_list)
    split = Concat <axis = 0> (outer, bits_list, count)
    rows = Reshape (z, split)
    positive = Greater (rows, nothing)
    digits = Cast <to = 7> (positive)
    up = Range (zero, bits, one)
    from_last = Sub (bits, one)
    exponents = Sub (from_last, up)
    weights = Pow (two, exponents)
    after = Constant <value = int64[1] {{1}}> ()
    weight_column = Unsqueeze (weights, after)
    weighted = Mul (digits, weight_column)
    codes = ReduceSum <keepdims = 0> (weighted, above)
    all_entries = Shape (tables)
    entry_list = Slice (all_entries, start, after)
    all_rows = Squeeze (entry_list, start)
    starts = Range (zero, all_rows, entries)
    numbers = Add (codes, starts)
    size = Abs (rows)
    total = ReduceSum <keepdims = 0> (size, above)
    doubled = Mul (size, minus_two)
    exponential = Exp (doubled)
    factors = Add (exponential, unit)
    product = {product}
    score = Div (total, product)
    found = Gather <axis = 0> (tables, numbers)
    values = Cast <to = 1> (found)
    {scaled}
    column = Unsqueeze (factor, last)
    terms = Mul (values, column)
    sum = ReduceSum <keepdims = 0> (terms, above)
    y = Add (sum, bias)
}}
"""


_CHOICE = """
<domain: "{domain}", opset_import: ["": {opset}]>
{name} <number> (layer, look_up) => (y)
{{
    y = Identity (layer)
}}
"""


def function(scaled: bool, opset: int = OPSET) -> onnx.FunctionProto:
    """A look-up's meaning.

    Parameters
    ----------
    scaled : bool
        Whether the rows of the tables have scales.
    opset : int
        That of the model.
    """
    steps = "scale = Gather <axis = 0> (scales, numbers)\n    factor = Mul (score, scale)"
    text = _TEXT.format(
        domain=DOMAIN,
        opset=opset,
        product="ReduceProd <keepdims = 0> (factors, above)"
        if opset >= AXES_INPUT
        else "ReduceProd <keepdims = 0, axes = [-2]> (factors)",
        name=_NAMES[scaled],
        inputs="z, tables, scales, bias" if scaled else "z, tables, bias",
        scaled=steps if scaled else "factor = Identity (score)",
    )
    return parser.parse_function(text)


def node(inputs: list[str], output: str, bits: int) -> onnx.NodeProto:
    """A look-up. The inputs are z, the tables, the scales if there are any, and the bias."""
    name = _NAMES[len(inputs) == 4]
    return helper.make_node(name, inputs, [output], output, domain=DOMAIN, bits=bits)


def choice(layer: str, look_up: str, output: str, number: int) -> onnx.NodeProto:
    """The layer of this number, beside which there is a look-up. Without a plan it is the layer."""
    return helper.make_node(
        CHOICE, [layer, look_up], [output], f"{output}_choice", domain=DOMAIN, number=number
    )


def declare(model: onnx.ModelProto) -> None:
    """Add, in place, what the model's look-ups need: the domain, and their functions.

    Raises
    ------
    QuakeError
        If the model's opset is too old.
    """
    opset = next((o.version for o in model.opset_import if not o.domain), OPSET)
    if opset < OLDEST:
        raise QuakeError(f"the model's opset is {opset}: convert it to {OLDEST} or later")
    used = {n.op_type for n in model.graph.node if n.domain == DOMAIN}
    known = {f.name for f in model.functions if f.domain == DOMAIN}
    for scaled, name in _NAMES.items():
        if name in used - known:
            model.functions.append(function(scaled, opset))
    if CHOICE in used - known:
        text = _CHOICE.format(domain=DOMAIN, opset=opset, name=CHOICE)
        model.functions.append(parser.parse_function(text))
    if used and DOMAIN not in {o.domain for o in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
