"""The commands of the command line, by what they are for. Heavy libraries are imported by the command that needs them."""

# Each puts its commands on the application, and help lists them in this order.
# isort: off
from flows.commands import learning, redistill, planning, plan_recipe, cross_validate, recipes, data, network  # noqa: F401
from flows.commands import explaining, reports, loss, audit  # noqa: F401
from flows.commands import models, foreign  # noqa: F401
from flows.commands import registry, registered, forms, compress, listing, check_loss  # noqa: F401
from flows.commands import server, review, operations, drift, vault, feedback  # noqa: F401

# isort: on
from flows.commands.common import app

__all__ = ["app"]
