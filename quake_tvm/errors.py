"""The one exception for what the user can put right."""


class QuakeError(ValueError):
    """Bad input: a one-line message that says what to do. The shell prints it and exits with 2."""
