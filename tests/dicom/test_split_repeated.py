"""Images at one place become volumes named by what differs; what cannot be parted is refused with the true reason."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Sequence

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, Outcome
from medkd.dicom.findings import Findings
from medkd.dicom.split_repeated import split_repeated
from tests.dicom.invented import group_of, slice_at
from tests.dicom.stacks import CLASSIC, enhanced, of, stack
from tests.dicom.voxels import ingested, offsets


@pytest.mark.parametrize("keyword", CLASSIC)
def test_images_at_one_place_are_told_apart_by_any_standard_attribute(tmp_path, keyword):
    folder = stack(tmp_path / "in", 2, lambda dataset, n: setattr(dataset, keyword, CLASSIC[keyword][n]))
    report, volumes = ingested(folder)
    assert report.codes() == {}
    assert offsets(volumes) == [0, 1]
    assert len({line.words for line in report.series}) == 2
    for value in ("20240101", "ep2d", "HEAD"):
        assert not any(value in line.words for line in report.series)


def test_two_attributes_together_tell_apart_what_neither_does(tmp_path):
    def label(dataset, n):
        dataset.EchoTime, dataset.TemporalPositionIdentifier = 10 + 20 * (n % 2), 1 + n // 2

    report, volumes = ingested(stack(tmp_path / "in", 6, label))
    assert report.codes() == {}
    assert offsets(volumes) == [0, 1, 2, 3, 4, 5]
    assert len({line.words for line in report.series}) == 6


def test_three_attributes_together_tell_apart(tmp_path):
    def label(dataset, n):
        dataset.EchoTime, dataset.FlipAngle, dataset.InversionTime = 10 + 20 * (n % 2), 5 + 15 * (n // 2 % 2), 100 + 800 * (n // 4)

    assert offsets(ingested(stack(tmp_path / "in", 8, label))[1]) == list(range(8))


@pytest.mark.parametrize("private", [False, True])
def test_gradient_directions_and_b_values_are_volumes(tmp_path, private):
    directions = [None, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.8, 0.0), (1.0, 0.0, 0.0)]
    b_values = [0, 1000, 1000, 1000, 2000]

    def label(dataset, n):
        for name in ("DiffusionBValue", "DiffusionGradientOrientation"):
            if name in dataset:
                del dataset[name]
        for tag in [element.tag for element in dataset if element.tag.is_private]:
            del dataset[tag]
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "DIFFUSION"]
        if private:
            block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
            block.add_new(0x0C, "IS", b_values[n])
            if directions[n]:
                block.add_new(0x0E, "FD", list(directions[n]))
        else:
            dataset.DiffusionBValue = float(b_values[n])
            if directions[n]:
                dataset.DiffusionGradientOrientation = list(directions[n])

    report, volumes = ingested(stack(tmp_path / "in", 5, label))
    assert report.codes() == {}
    assert offsets(volumes) == [0, 1, 2, 3, 4]
    assert len({line.words for line in report.series}) == 5


def test_what_can_be_told_apart_is_not_lost_with_what_cannot(tmp_path):
    """One b0, and two averages of b = 1000 that nothing tells apart: the b0 is a volume."""

    def label(dataset, n):
        dataset.FlipAngle = 5 if n == 0 else 25

    report, volumes = ingested(stack(tmp_path / "in", 3, label))
    assert report.codes() == {"TEMPORAL_STACK": 28}
    assert offsets(volumes) == [0]


def test_a_last_time_point_that_broke_off_does_not_take_the_others_with_it(tmp_path):
    folder = stack(tmp_path / "in", 3, lambda dataset, n: setattr(dataset, "TemporalPositionIdentifier", n + 1))
    for path in sorted(folder.glob("*-2.dcm"))[2:]:
        path.unlink()
    report, volumes = ingested(folder)
    assert report.codes() == {"TOO_FEW_SLICES": 2}
    assert offsets(volumes) == [0, 1]


def test_the_reason_of_a_stack_that_nothing_parts_is_true(tmp_path):
    report, _ = ingested(stack(tmp_path / "in", 2, lambda *_: None))
    assert report.codes() == {"TEMPORAL_STACK": 28}
    assert "nothing in the header tells them apart" in report.files[0].evidence
    rng = np.random.default_rng(1)
    report, _ = ingested(stack(tmp_path / "other", 2, lambda dataset, _: setattr(dataset, "HeartRate", int(rng.integers(50, 99)))))
    assert "HeartRate differ but part them into no whole volumes" in report.files[0].evidence


KINDS = {
    "inversion": lambda n: {"MRModifierSequence": of(InversionTimes=[100.0 + 400 * n])},
    "flip": lambda n: {"MRTimingAndRelatedParametersSequence": of(FlipAngle=5.0 + n, RepetitionTime=500.0)},
    "kvp": lambda n: {"CTXRayDetailsSequence": of(KVP=80.0 + 20 * n)},
    "kernel": lambda n: {"CTReconstructionSequence": of(ConvolutionKernel=["B30f", "B50f", "B70f"][n])},
    "phase": lambda n: {"CardiacSynchronizationSequence": of(NominalPercentageOfCardiacPhase=10.0 + 30 * n)},
    "time": lambda n: {"TemporalPositionSequence": of(TemporalPositionTimeOffset=1.5 * n)},
    "moment": lambda n: {"FrameContentSequence": of(FrameAcquisitionDateTime=f"20240101101{n}00.5")},
    "polarity": lambda n: {"MRVelocityEncodingSequence": of(VelocityEncodingDirection=[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]][n])},
    "stacks": lambda n: {"FrameContentSequence": of(StackID=str(n + 1))},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("files", [1, 3])
def test_frames_at_one_place_are_told_apart_in_one_object_and_in_several(tmp_path, kind, files):
    frames = [(31 + 3 * k, n, KINDS[kind](n)) for n in range(3) for k in range(5)]
    for number in range(files):
        enhanced(
            tmp_path / "in" / f"{number}.dcm",
            frames[number::files] if files == 1 else frames[5 * number : 5 * number + 5],
            name=f"x{number}",
        )
    report, volumes = ingested(tmp_path / "in")
    assert report.codes() == {}
    assert offsets(volumes) == [0, 1, 2]
    assert len({line.words for line in report.series}) == 3
    assert report.count(Outcome.ACCEPTED) == files


@pytest.mark.parametrize("order", ["time first", "echo first", "mixed"])
def test_echoes_by_time_points_in_one_object(tmp_path, order):
    frames = [
        (
            31 + 3 * k,
            2 * t + e,
            {"FrameContentSequence": of(TemporalPositionIndex=t + 1), "MREchoSequence": of(EffectiveEchoTime=10.0 + 20 * e)},
        )
        for t in range(3)
        for e in range(2)
        for k in range(5)
    ]
    if order == "echo first":
        frames.sort(key=lambda frame: frame[1] % 2)
    if order == "mixed":
        frames = [frames[index] for index in np.random.default_rng(0).permutation(len(frames))]
    enhanced(tmp_path / "in" / "e.dcm", frames)
    report, volumes = ingested(tmp_path / "in")
    assert report.codes() == {}
    assert offsets(volumes) == [0, 1, 2, 3, 4, 5]


def test_nested_directions_in_one_object(tmp_path):
    frames = []
    for n, direction in enumerate([None, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]):
        diffusion = of(DiffusionBValue=1000.0 if direction else 0.0)
        if direction:
            diffusion.DiffusionGradientDirectionSequence = Sequence([of(DiffusionGradientOrientation=list(direction))])
        frames += [(31 + 3 * k, n, {"MRDiffusionSequence": diffusion}) for k in range(5)]
    enhanced(tmp_path / "in" / "e.dcm", frames)
    assert offsets(ingested(tmp_path / "in")[1]) == [0, 1, 2]


def repeated(*places, same=False, every=Action.REPAIR):
    """Split slices at heights in mm of which some come twice."""
    group = group_of([slice_at(z, name=f"{number:02d}", SOPInstanceUID=f"1.4.{number}") for number, z in enumerate(places)])
    findings = Findings(IngestPolicy(every=every))
    return split_repeated(group, findings, lambda *_: same), set(findings.flags)


def test_an_equal_repeat_is_one_slice_and_goes_with_it():
    (part,), flags = repeated(0, 2, 4, 6, 2, same=True)
    assert flags == {IngestCode.DUPLICATE_POSITION}
    assert ([item.position_mm[2] for item in part.slices], [item.file.relative for item in part.aside]) == ([0, 2, 4, 6], ["04"])
    assert not part.unusable


def test_of_two_that_contradict_each_other_neither_is_used():
    (part,), flags = repeated(0, 2, 4, 6, 2)
    assert flags == {IngestCode.DUPLICATE_CONFLICT}
    assert [item.position_mm[2] for item in part.unusable] == [2]


@pytest.mark.parametrize(("places", "code"), [((0, 2, 4, 0, 2, 4), "TEMPORAL_STACK"), ((0, 0, 2, 2, 4, 4, 6), "DUPLICATE_CONFLICT")])
def test_what_repeats_everywhere_is_no_conflict_of_single_slices(places, code):
    with pytest.raises(IngestError) as caught:
        repeated(*places)
    assert caught.value.code == code
