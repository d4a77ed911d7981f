"""Computes the geometry of charts. Templates draw them as SVG, in percent, so that nothing is stretched."""

__all__: list[str] = []
