"""``quake-tvm bench``: time kernels and whole models, and other runtimes on the same, in one run.

``cases.py`` has the kernels and models, ``peers.py`` the contenders. ``compare.py`` runs them with
the clock of ``support/timing.py``, and ``show.py`` prints tables and draws a picture. For other
processors ``static.py`` counts instead, and ``show_static.py`` prints the tables. ``chains.py`` is
a separate program that measures compile times.
"""
