"""``quake-tvm bench``: kernels and whole models beside other runtimes, in one run.

``cases.py`` says what is measured, ``peers.py`` by whom, ``measure.py`` how the clock is read,
``compare.py`` joins them, ``show.py`` makes tables and a picture, ``command.py`` is the shell's.

For processors that are not at hand ``static.py`` counts instead and ``show_static.py`` makes the
tables. ``chains.py`` is a program of its own: what compiling takes.
"""
