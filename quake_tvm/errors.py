"""The one exception for what the user can put right, and what others say in a line."""


class QuakeError(ValueError):
    """Bad input: a one-line message that says what to do. The shell prints it and exits with 2."""


def last_line(error: BaseException, length: int = 160) -> str:
    """What an exception says, in one line: the last, where TVM has the reason."""
    lines = str(error).strip().splitlines()
    return (lines[-1].strip() if lines else type(error).__name__)[:length]
