"""Which calls of which stage a recipe stands for. Who makes them is another's choice: flows side by side, :func:`medkd.distill` one by one."""
