"""All the ways to break the isolation or the services' rights that the proofs must find (see `breaking`)."""

from __future__ import annotations

from .breaking import Mutation
from .mutations_of_grants import every_grant, handed_on
from .mutations_of_roles import by_owner, by_role
from .mutations_of_services import in_the_future, taken_away, ways_around

MUTATIONS: tuple[Mutation, ...] = (
    *every_grant(),
    *handed_on(),
    *by_role(),
    *by_owner(),
    *in_the_future(),
    *taken_away(),
    *ways_around(),
)
