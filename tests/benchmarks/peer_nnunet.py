"""nnU-Net v2 itself, its own planner and trainer within a budget of minutes: run in ``.venv-bench``, which has it; imports nothing of medkd.

``python peer_nnunet.py WORK --minutes M [--folds 0 1]`` expects ``WORK/nnUNet_raw/DatasetNNN_NAME`` and ``WORK/splits.json`` (train and val per
fold) and prints one line of JSON: parameters, epochs and seconds per fold. Predictions of each fold's val cases lie in
``WORK/predicted/fold_N``. The trainer is nnU-Net's but for its number of epochs: three steps are timed, and as many epochs are planned as the budget
of processor time holds, so that its learning rate falls to the end as it is meant to.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path


def main() -> None:
    """Plan, preprocess, train and predict."""
    asked = argparse.ArgumentParser()
    asked.add_argument("work", type=Path)
    asked.add_argument("--minutes", type=float, default=2.0)
    asked.add_argument("--folds", type=int, nargs="*", default=[0])
    asked.add_argument(
        "--features", type=int, nargs="*", default=[], help="other widths than planned, for a folder that is small enough for a test"
    )
    asked.add_argument("--threads", type=int, default=2)
    given = asked.parse_args()
    for place in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[place] = str(given.work.resolve() / place)
    os.environ |= {"nnUNet_n_proc_DA": "1", "nnUNet_compile": "f", "nnUNet_def_n_proc": "1"}
    said = sys.stdout
    sys.stdout = sys.stderr  # nnU-Net talks; what is printed here is one line of JSON
    import torch

    torch.set_num_threads(given.threads)
    name = next((given.work / "nnUNet_raw").glob("Dataset*")).name
    plans, dataset = _planned(given.work, name, given.features)
    # Planning sets torch's threads to this number and refuses 0; training with 0 augments in its own process, within the budget.
    os.environ |= {"nnUNet_n_proc_DA": "0"}
    torch.set_num_threads(given.threads)
    found = [_fold(given.work, name, plans, dataset, fold, given.minutes) for fold in given.folds]
    said.write(json.dumps({"folds": found, "torch": torch.__version__}) + "\n")


def _planned(work: Path, name: str, features: list[int]) -> tuple[dict, dict]:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess_dataset

    number, place = int(name[7:10]), work / "nnUNet_preprocessed" / name
    extract_fingerprints([number], num_processes=1)
    plan_experiments([number])
    plans = json.loads((place / "nnUNetPlans.json").read_text())
    if features:
        _narrow(plans, features)
        (place / "nnUNetPlans.json").write_text(json.dumps(plans))
    preprocess_dataset(number, configurations=("3d_fullres",), num_processes=[1])
    shutil.copy(work / "splits.json", place / "splits_final.json")
    return plans, json.loads((work / "nnUNet_raw" / name / "dataset.json").read_text())


def _narrow(plans: dict, features: list[int]) -> None:
    of = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    stages = len(features)
    of |= {"n_stages": stages, "features_per_stage": features, "n_conv_per_stage_decoder": of["n_conv_per_stage_decoder"][: stages - 1]}
    of |= {key: of[key][:stages] for key in ("kernel_sizes", "strides", "n_conv_per_stage") if key in of}


def _fold(work: Path, name: str, plans: dict, dataset: dict, fold: int, minutes: float) -> dict:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    began = time.process_time()
    trainer = nnUNetTrainer({**plans, "continue_training": False}, "3d_fullres", fold, dataset, device=torch.device("cpu"))
    trainer.initialize()
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 5, 1
    trainer.on_train_start()
    trainer.train_step(next(trainer.dataloader_train))  # what is loaded once is not counted
    started = time.process_time()
    for _ in range(3):
        trainer.train_step(next(trainer.dataloader_train))
    step_s = (time.process_time() - started) / 3
    # A validation batch counts half a step; writing checkpoints and logs is little.
    left = max(0.0, 60 * minutes - (time.process_time() - began))
    trainer.num_epochs = max(1, int(left / (5.5 * step_s)))
    trainer.optimizer, trainer.lr_scheduler = trainer.configure_optimizers()
    trainer.on_train_start = lambda: None
    trainer.save_every = 10**6
    trainer.run_training()
    seconds = time.process_time() - began
    folder = work / "nnUNet_results" / name / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), use_folds=(fold,))
    cases = json.loads((work / "splits.json").read_text())[fold]["val"]
    images = [[str(work / "nnUNet_raw" / name / "imagesTr" / f"{case}_0000.nii.gz")] for case in cases]
    out = work / "predicted" / f"fold_{fold}"
    out.mkdir(parents=True, exist_ok=True)
    predictor.predict_from_files_sequential(images, [str(out / case) for case in cases], save_probabilities=False)
    return {
        "fold": fold,
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "epochs": trainer.num_epochs,
        "steps": trainer.num_epochs * 5,
        "step_seconds": round(step_s, 3),
        "cpu_seconds": round(seconds),
        "batch_size": trainer.batch_size,
    }


if __name__ == "__main__":
    main()
