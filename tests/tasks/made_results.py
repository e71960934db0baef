"""Made-up results of tasks."""

from tasks.evaluation import Loss, Result

NONE = Loss(0.0, 0.0, 0.0, 1.0, 1.0, 0, 0, 1.0, 0.003)
SOME = Loss(-0.004, -0.006, -0.002, 0.9, 0.99, 9, 5, 0.42, 0.01)
CLOSE = Loss(-0.0002, -0.0015, 0.0003, 0.999, 0.9999)


def result(task, ways, metric="accuracy", **losses):
    """A result with the given losses, and none elsewhere."""
    every = {way: losses.get(way, NONE) for way in ways}
    return Result(task, "model", "head", metric, 1000, 2, 0.9, every)
