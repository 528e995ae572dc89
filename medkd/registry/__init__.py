"""The MLflow model registry behind one interface; one file imports mlflow."""
