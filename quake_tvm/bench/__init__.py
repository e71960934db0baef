"""``quake-tvm bench``: kernels and whole models beside other runtimes, in one run.

``cases.py`` has the kernels and models, ``peers.py`` the contenders, ``compare.py`` runs both with
the clock of ``support/timing.py``, ``show.py`` makes tables and a picture.

For other processors ``static.py`` counts instead and ``show_static.py`` makes the tables.
``chains.py`` is a program of its own: how long compiling takes.
"""
