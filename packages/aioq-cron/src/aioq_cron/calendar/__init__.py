"""The days and moments that match an expression: its fields, rules for days, and the steps from tick to tick."""

__all__: list[str] = []
