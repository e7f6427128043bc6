"""What otel_obs costs, as ratios against other ways to do the same work, measured in the same run.

A benchmark is a module here that has `run() -> list[tuple[str, float, float]]`: what is measured, the figure
and its goal.
"""
