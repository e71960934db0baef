"""``python -m tests.fuzz.torch_programs --seconds 60 --seed 1``: random programs against eager.

Prints the results, and each failure with the smallest program that has it.
"""

import argparse

from .session import WHOLE, run


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.torch_programs")
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--programs", type=int, help="at most so many")
    parser.add_argument(
        "--whole", type=int, default=WHOLE, help="every so manieth batch goes all ways (10)"
    )
    parser.add_argument("--no-shrink", action="store_true", help="show failures as they are")
    given = parser.parse_args()
    shrink = not given.no_shrink
    print(run(given.seconds, given.seed, given.programs, shrink=shrink, whole=given.whole))


main()
