"""Models: the rules of jobs and ticks as pure values and functions, which brokers are compared with."""

__all__: list[str] = []
