"""Test whether the sizes inside a function depend on data. Knows no operator."""

from tvm import relax


def sizes_depend_on_data(main: relax.Function) -> bool:
    """Whether a function has tensors whose sizes do not follow from the sizes of its inputs."""
    given = {v for p in main.params for v in relax.analysis.definable_tir_vars_in_type(p.ty)}
    return any(v not in given for v in relax.analysis.defined_symbolic_vars(main))
