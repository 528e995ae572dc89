"""The sentences: order, concurrency and the command line. No arithmetic, no tensors."""

from flows.environment import prepare_environment

prepare_environment()
