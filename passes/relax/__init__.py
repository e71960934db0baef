"""The passes on Relax modules and on the kernels made from them."""
