"""The exception for errors that the user can correct, and other errors as one line."""


class QuakeError(ValueError):
    """An error that the user can correct: one line. The shell prints it and exits with 2."""


def last_line(error: BaseException, length: int = 160) -> str:
    """An exception's message as one line: the last one, where TVM puts the reason."""
    return _line(error, -1)[:length]


def first_line(error: BaseException, length: int = 200) -> str:
    """An exception's message as one line: the first one, where torch.export puts the reason."""
    return _line(error, 0)[:length]


def _line(error: BaseException, place: int) -> str:
    text = str(error).strip().splitlines()
    lines = [line for line in text if not line.startswith("#")]  # notes of TVM on its own texts
    return lines[place].strip() if lines else type(error).__name__
