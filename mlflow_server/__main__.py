"""``python -m mlflow_server``: the same commands as ``medkd server``."""

from mlflow_server.cli import main

if __name__ == "__main__":
    main()
