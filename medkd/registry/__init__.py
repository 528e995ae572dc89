"""The MLflow model registry behind one interface; files called ``mlflow_…`` alone import mlflow."""
