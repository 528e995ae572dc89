"""The verbs of medkd: everything that would still make sense without an orchestrator. Never imports prefect."""

__version__ = "0.1.0"
