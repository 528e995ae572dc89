"""Tables of explanations, as a newcomer reads them."""

from __future__ import annotations

from data_contracts import Estimate, ExplanationBundle, Inspection, LayerTrait, Ref, SanityCheck, SanityReport
from flows.explanation_text import WIDEST, bundle_table, explanation_text, inspection_text

SHA = "0123456789abcdef" * 4


def figure(mean):
    return Estimate(mean=mean, low=mean - 0.1, high=mean + 0.1, n=3)


def test_a_cohorts_table_fits_a_screen_and_ends_with_the_baselines():
    measures = ["map_auprc", "off_distribution:faithfulness_correlation", *(f"measure_{number}" for number in range(9))]
    names = ["baseline_edges", "saliency", "cam"]
    check = SanityCheck(name="randomisation", value=0.9, limit=0.6, passed=False)
    bundle = ExplanationBundle(
        subject="r/kd-0",
        weights_digest=SHA,
        teacher_digest=SHA,
        explanations=(),
        figures={f"{name}/{measure}": figure(0.5) for name in names for measure in measures if (name, measure) != ("cam", "map_auprc")},
        sanity_reports=(
            SanityReport(explainer="integrated_gradients", checks=(check,), trusted=False),
            SanityReport(explainer="cam", checks=(check,), trusted=False),
        ),
    )
    text = bundle_table(bundle)
    below = bundle_table(bundle.model_copy(update={"figures": {"cam/pointing": figure(-0.5), "cam/rank_agreement": figure(-0.585)}}))
    assert "-0.500 [-0.600, -0.400]  -0.585 [-0.685, -0.485]" in below
    assert "integrated_gradients  failed" in text
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= WIDEST
    blocks = [block.splitlines() for block in text.split("\n\n")[1:-1]]
    assert [heading for block in blocks for heading in block[0].split()] == measures
    for block in blocks:
        assert [line.split()[0] for line in block[1:]] == ["saliency", "cam", "baseline_edges"]
        # Every number stands under its heading.
        ends = [block[0].index(heading) + len(heading) for heading in block[0].split()]
        assert all(line[end - 1] in "]-" and len(line) == ends[-1] for line in block[1:] for end in ends)
    assert blocks[0][2].split()[1] == "-"
    assert lines[-1].split(maxsplit=1) == ["cam", "failed: randomisation 0.9 (bound 0.6)"]


def test_an_inspection_names_the_likest_layer_and_what_could_not_be_flipped():
    ref = Ref(store="run", key="a", sha256=SHA)
    found = Inspection(
        subject="r/kd-0", weights_digest=SHA, teacher_digest=SHA, cases=3, array=ref, picture=ref,
        layers=(LayerTrait(name="layer1", channels=(2, 0), shares=(0.6, 0.25)), LayerTrait(name="layer2", channels=(1,), shares=(1.0,))),
        teacher_layers=("early", "late"), similarity=((0.2, 0.9), (None, None)), figures={"student/minimal_perturbation_rms": figure(0.2)},
    )  # fmt: skip
    lines = inspection_text(found).splitlines()
    assert lines[3].split() == ["layer1", "late", "(CKA", "0.90)", "2", "(60%),", "0", "(25%)"]
    assert "none (CKA 0.00)" in lines[4]
    assert lines[8].split()[-5:] == ["0.2000", "[0.1000,", "0.3000]", "-", "-"]


def test_tables_of_a_study_fit_a_hundred_columns_and_every_column_has_its_legend():
    values = {"relevance_mass_accuracy": 0.5, "mass_0_to_5_mm": 0.25, "mass_5_to_20_mm": 0.1, "mass_beyond_20_mm": 0.05, "map_auprc": 0.75}
    values |= {"otsu_iou": 0.3, "deletion": -10.25, "insertion": 10.5, "rank_agreement": -0.123}
    payload = {"number": 1, "role": "student", "measures": values, "peaks": [{"position_lps_mm": [-112.0, -130.0, -166.0]}]}
    names = ("guided_backpropagation", "cam")
    failed = {"name": "random_lesion", "value": 0.98765, "limit": 0.5, "passed": False}
    passed = [{"name": name, "value": 0.001234, "limit": 0.5, "passed": True} for name in ("randomisation", "completeness", "additivity")]
    summary = {
        "lesions": [{"number": 1, "class": "bright", "volume_ml": 0.5, "voxels": 64, "explained": True}], "mass": "positive", "structures": "lesion", "answers": [], "model": "m/1", "folder": "f",
        "maps": [{**payload, "explainer": name} for name in names], "explanation": SHA, "seconds": {"all": 1.0},
        "sanity_reports": [{"explainer": name, "samples": None, "checks": [*passed, failed]} for name in names],
    }  # fmt: skip
    lines = explanation_text(summary).splitlines()
    assert max(map(len, lines)) <= 100
    heading = next(line for line in lines if "explainer " in line)
    row = next(line for line in lines if line.startswith("  cam "))
    legends = lines[lines.index("", 5) + 1 :]
    assert "shares are of what speaks for the structure" in legends[10]
    assert [line.split()[0] for line in legends[:10]] == [*heading.split()[1:10], "highest"]
    assert row.split()[1:10] == ["0.50", "0.25", "0.10", "0.05", "0.75", "0.30", "-10.25", "10.50", "-0.12"]
    verdict = next(line for line in lines if line.startswith("  cam ") and "failed" in line)
    assert verdict.split("failed: ")[1].startswith("random_lesion 0.988 (bound 0.5); passed: randomisation 0.00123")


def test_answers_say_their_slices_and_lesions_their_volume():
    payload = {"measures": {"deletion": 0.5}, "role": "student", "explainer": "cam", "peaks": [{"position_lps_mm": [1.2, -3.0, 40.6]}]}
    summary = {
        "lesions": [], "maps": [{**payload, "number": 1}, {**payload, "number": 2, "peaks": []}], "sanity_reports": [], "model": "m/1", "folder": "f",
        "explanation": SHA, "seconds": {"all": 1.0}, "mass": "absolute", "structures": "lesion",
        "answers": [
            {"number": 1, "class_name": "benign", "probability": 0.75, "first_slice": 2, "last_slice": 4, "key_slice": 3, "explained": True},
            {"number": 2, "class_name": "malignant", "probability": 0.5, "first_slice": 5, "last_slice": 5, "key_slice": 5, "explained": True},
        ],
    }  # fmt: skip
    text = explanation_text(summary)
    assert "answer 1: benign (probability 0.75), slices 3 to 5, surest of 4" in text
    assert "answer 2: malignant (probability 0.50), slice 6" in text
    assert "1, -3, 41" in text
    assert "nowhere" in text
    nothing = explanation_text({**summary, "answers": [], "maps": []})
    assert nothing.startswith("nothing found by m/1: an answer")
    lesion = {"number": 1, "class": "bright", "volume_ml": 0.512, "voxels": 64, "explained": True}
    assert "lesion 1: bright, 0.51 ml" in explanation_text({**summary, "answers": [], "lesions": [lesion]})
    healthy = explanation_text({**summary, "answers": [], "lesions": [{**lesion, "class": "anterior"}], "structures": "anatomy"})
    assert "structure 1: anterior, 0.51 ml" in healthy
    assert "lesion" not in healthy
