"""Describes in words when expressions fire, and what clock changes do to them."""

__all__: list[str] = []
