"""A secured MLflow server: started, checked, backed up, restored, upgraded. Stands alone: only the standard library, typer and MLflow's own needs."""
