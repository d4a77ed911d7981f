"""`RedisBroker` as the sum of its roles."""

from __future__ import annotations

import dis
from collections import Counter
from collections.abc import Callable

from aioq_redis import RedisBroker
from aioq_redis.role import BrokerRole


def test_roles_define_each_name_once() -> None:
    """No role replaces a method of another one, as they share one object."""
    roles = [role for role in RedisBroker.__mro__ if issubclass(role, BrokerRole) and role is not RedisBroker]
    names = Counter(name for role in roles for name in vars(role) if not name.startswith("__"))
    assert [name for name, times in names.items() if times > 1] == []


def test_roles_set_each_attribute_once() -> None:
    """No role overwrites the state of another one."""
    inits = [vars(role)["__init__"] for role in RedisBroker.__mro__[:-1] if "__init__" in vars(role)]
    names = Counter(name for init in inits for name in attributes_set_by(init))
    assert len(names) > len(inits)
    assert [name for name, times in names.items() if times > 1] == []


def attributes_set_by(function: Callable[..., object]) -> set[str]:
    """Return the names of the attributes that a function assigns."""
    return {step.argval for step in dis.get_instructions(function) if step.opname == "STORE_ATTR"}
