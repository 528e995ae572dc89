"""What was acquired apart becomes volumes of its own, named by what differs; what cannot be parted is refused with the true reason."""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, RLELossless

from data_contracts import Action, IngestCode, IngestPolicy, Outcome, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import TIME_STEP_HU, hounsfield_at
from medkd.storage.store import Store


def ingested(folder, every=None):
    out = folder.parent / f"store-{every}"
    report = ingest(IngestRequest(folder, out, IngestPolicy(every=every)), secret=b"k")
    volumes = load_record(out / "manifest.json", StoreManifest).volumes
    return report, [(volume, Store(out).read_tensors(volume.array)["volume"].numpy().astype(float)) for volume in volumes]


def field(volume):
    affine = np.asarray(volume.geometry.affine_lps_mm)
    index = np.stack(np.meshgrid(*[np.arange(size) for size in volume.geometry.shape], indexing="ij"), axis=-1)
    return hounsfield_at(index @ affine[:3, :3].T + affine[:3, 3])


def offsets(volumes, step=TIME_STEP_HU):
    """Return by how many steps each volume lies above the field, each verified voxel by voxel."""
    found = []
    for volume, values in volumes:
        difference = values - field(volume)
        offset = int(np.rint(np.median(difference) / step))
        assert np.abs(difference - offset * step).max() < 1
        found.append(offset)
    return sorted(found)


def stack(folder, count, label, *, edit=None):
    """Write a series of ``count`` images at each place, the n-th of them n steps brighter; ``label(dataset, n)`` says what differs."""
    paths = write_case(folder, "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword in ("AcquisitionNumber", "AcquisitionTime"):
            del dataset[keyword]
        instance, values = dataset.SOPInstanceUID, dataset.pixel_array.astype(int)
        path.unlink()
        for number in range(count):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{instance}.{number + 1}"
            dataset.PixelData = (values + int(TIME_STEP_HU) * number).astype("<u2").tobytes()
            label(dataset, number)
            dataset.save_as(folder / f"{path.stem}-{number}.dcm")
    return folder


CLASSIC = {
    "InversionTime": (200, 900),
    "FlipAngle": (5, 25),
    "KVP": (80, 140),
    "ConvolutionKernel": ("B30f", "B70f"),
    "FrameReferenceTime": (1000.5, 3000.5),
    "RepetitionTime": (500, 2000),
    "EchoTime": (10.5, 30.5),
    "ReconstructionDiameter": (200, 350),
    "TriggerTime": (0, 120),
    "AcquisitionDateTime": ("20240101101500.25", "20240101101500.75"),
    "InPlanePhaseEncodingDirection": ("ROW", "COL"),
    "SequenceName": ("ep2d_a", "ep2d_b"),
    "NominalInterval": (700, 900),
    "ReceiveCoilName": ("HEAD", "BODY"),
}


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


@pytest.mark.parametrize("shown", ["P", "R"])
def test_another_image_type_is_another_volume_and_said(tmp_path, shown):
    def label(dataset, n):
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", ("M", shown)[n], "ND"]

    report, volumes = ingested(stack(tmp_path / "in", 2, label))
    assert offsets(volumes) == [0, 1]
    assert len({line.words for line in report.series}) == 2


def along(dataset):
    return float(dataset.ImagePositionPatient[2])


@pytest.mark.parametrize("keyword", ["KVP", "ConvolutionKernel", "EchoTime", "FlipAngle"])
def test_halves_of_a_stack_that_were_acquired_differently_are_two_volumes(tmp_path, keyword):
    paths = write_case(tmp_path / "in", "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        setattr(dataset, keyword, CLASSIC[keyword][int(along(dataset) > 50)])
        dataset.save_as(path)
    report, volumes = ingested(tmp_path / "in")
    assert (report.codes(), sorted(volume.geometry.shape[0] for volume, _ in volumes)) == ({}, [7, 7])


def test_a_slice_here_and_there_that_was_acquired_differently_is_flagged(tmp_path):
    for number, path in enumerate(sorted(write_case(tmp_path / "in", "regular"), key=lambda path: along(pydicom.dcmread(path)))):
        dataset = pydicom.dcmread(path)
        dataset.KVP = 80 if number in (3, 8, 9) else 120
        dataset.save_as(path)
    _, [(volume, _)] = ingested(tmp_path / "in")
    assert volume.flags == (IngestCode.MIXED_ACQUISITION,)
    assert "KVP" in volume.evidence[IngestCode.MIXED_ACQUISITION]


def test_rounding_parts_nothing(tmp_path):
    for number, path in enumerate(write_case(tmp_path / "in", "regular")):
        dataset = pydicom.dcmread(path)
        dataset.EchoTime = 4.6 if number % 2 else 4.61
        dataset.save_as(path)
    _, [(volume, _)] = ingested(tmp_path / "in")
    assert volume.flags == ()


def second_place(folder, gap, edit=None):
    """Write a series and a second stack of it ``gap`` mm further up."""
    paths = write_case(folder, "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        x, y, z = (float(part) for part in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + gap]
        shape = (dataset.Rows, dataset.Columns)
        rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
        points = np.stack([x + columns * 1.25, y + rows * 1.5, np.full(shape, z + gap)], -1)
        dataset.PixelData = np.rint(hounsfield_at(points) + 1024).astype("<u2").tobytes()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.2"
        if edit:
            edit(dataset)
        dataset.save_as(folder / f"far-{path.name}")
    return folder


@pytest.mark.parametrize("gap", [300.0, -210.0, 60.0])
@pytest.mark.parametrize(("keyword", "value"), [("AcquisitionNumber", 2), ("ProtocolName", "abdomen"), ("ScanOptions", "HELICAL MODE")])
def test_acquisitions_that_lie_far_apart_are_volumes(tmp_path, gap, keyword, value):
    report, volumes = ingested(second_place(tmp_path / "in", gap, lambda dataset: setattr(dataset, keyword, value)))
    expected = {} if keyword == "AcquisitionNumber" or abs(gap) > 100 else {"MISSING_SLICES": 28}
    if keyword != "AcquisitionNumber":
        # Present in one stack alone, it tells nothing: the distance does, where it is large enough.
        assert report.codes() == expected
        return
    assert report.codes() == {}
    assert [volume.geometry.shape[0] for volume, _ in volumes] == [14, 14]
    assert not any(IngestCode.SEPARATE_STACKS in volume.flags for volume, _ in volumes)
    assert offsets(volumes) == [0, 0]


def test_stacks_that_only_their_distance_tells_apart_are_flagged(tmp_path):
    report, volumes = ingested(second_place(tmp_path / "in", 300.0))
    assert report.codes() == {}
    assert [volume.flags for volume, _ in volumes if IngestCode.SEPARATE_STACKS in volume.flags] != []
    assert all(IngestCode.SEPARATE_STACKS in volume.flags for volume, _ in volumes)
    strict = ingested(second_place(tmp_path / "again", 300.0), Action.REJECT)[0]
    assert "SEPARATE_STACKS" in strict.codes()


def test_slices_that_are_missing_are_still_missing(tmp_path):
    paths = sorted(write_case(tmp_path / "in", "regular"), key=lambda path: along(pydicom.dcmread(path)))
    for path in paths[5:9]:
        path.unlink()
    assert ingested(tmp_path / "in")[0].codes() == {"MISSING_SLICES": 10}


def of(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return item


def enhanced(path, frames, *, name="one", modality="MR"):
    """Write an enhanced object: frames of (place along z, brightness in steps, functional groups)."""
    (first,) = write_case(path.parent / "mould", "enhanced")
    whole = pydicom.dcmread(first)
    first.unlink()
    first.parent.rmdir()
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.Modality, whole.ImageType = modality, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{sum(map(ord, name))}"
    rows, columns = np.meshgrid(np.arange(whole.Rows), np.arange(whole.Columns), indexing="ij")
    groups, planes = [], []
    for z, bright, extra in frames:
        points = np.stack([-18 + columns * 1.25, 9 + rows * 1.5, np.full(rows.shape, float(z))], -1)
        planes.append(np.rint(hounsfield_at(points) + 1024 + TIME_STEP_HU * bright))
        rescale = of(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="US")
        position = of(ImagePositionPatient=[-18, 9, z])
        groups.append(of(PlanePositionSequence=position, PixelValueTransformationSequence=rescale, **extra))
    whole.NumberOfFrames, whole.PerFrameFunctionalGroupsSequence = len(frames), Sequence(groups)
    whole.PixelData = np.array(planes).astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save_as(path)


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


@pytest.mark.parametrize("gap", [0, 12, 90])
def test_stacks_of_one_object_are_volumes_whatever_lies_between_them(tmp_path, gap):
    frames = [(31 + 3 * k + s * (15 + gap), 0, {"FrameContentSequence": of(StackID=str(s + 1))}) for s in range(2) for k in range(5)]
    enhanced(tmp_path / "in" / "e.dcm", frames)
    report, volumes = ingested(tmp_path / "in")
    assert (report.codes(), offsets(volumes)) == ({}, [0, 0])
    assert [volume.geometry.shape[0] for volume, _ in volumes] == [5, 5]


TILE, TILES = (18, 22), 7


def csa(values, second=True):
    """Return a CSA header, of either format, of named values."""
    body = b""
    for name, parts in values.items():
        texts = [str(part).encode() + b"\0" for part in parts]
        body += struct.pack("<64si4siii", name.encode(), len(texts), b"FD\0\0", 0, len(texts), 77)
        for text in texts:
            length = len(text) if second else len(text) + len(next(iter(values.values())))
            body += struct.pack("<4i", length, len(text), 77, 0) + text + bytes(-len(text) % 4)
    head = b"SV10\4\3\2\1" if second else b""
    return head + struct.pack("<II", len(values), 77) + body


def mosaic(folder, *, times=2, normal=1.0, strip=(), protocol=None, image=None, second=True, number=True, compress=False):
    """Write mosaics of :data:`TILES` slices whose values are the field; ``normal`` is the way in which tiles follow one another."""
    (folder).mkdir(parents=True)
    mould = pydicom.dcmread(write_case(folder.parent / "mould", "regular")[0])
    across = 3
    tile_first = np.array([-12.0, 5.0, 40.0])
    rows, columns = np.meshgrid(np.arange(TILE[0]), np.arange(TILE[1]), indexing="ij")
    for time in range(times):
        dataset = mould
        picture = np.zeros((TILE[0] * across, TILE[1] * across))
        for k in range(TILES):
            points = np.stack([tile_first[0] + columns * 1.25, tile_first[1] + rows * 1.5, np.full(rows.shape, 40.0 + 4 * k * normal)], -1)
            top, left = k // across * TILE[0], k % across * TILE[1]
            picture[top : top + TILE[0], left : left + TILE[1]] = hounsfield_at(points) + 1024 + TIME_STEP_HU * time
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        dataset.Rows, dataset.Columns = picture.shape
        dataset.PixelData = np.rint(picture).astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 1.25], [1, 0, 0, 0, 1, 0]
        corner = tile_first - np.array([1.25 * TILE[1] * (across - 1) / 2, 1.5 * TILE[0] * (across - 1) / 2, 0])
        dataset.ImagePositionPatient, dataset.SpacingBetweenSlices = corner.tolist(), 4
        dataset.AcquisitionNumber = time + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{time + 1}"
        if number:
            dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", TILES)
        values = {"NumberOfImagesInMosaic": [TILES], "SliceNormalVector": [0.0, 0.0, normal], **(image or {})}
        values = {name: parts for name, parts in values.items() if name not in strip}
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", csa(values, second) + b"\0" * (len(csa(values, second)) % 2))
        if protocol:
            centre = tile_first + np.array([1.25 * TILE[1] / 2, 1.5 * TILE[0] / 2, 0])
            lines = [
                f"sSliceArray.asSlice[{k if protocol > 0 else TILES - 1 - k}].sPosition.d{axis} = {value}"
                for k in range(TILES)
                for axis, value in zip(
                    ("Sag", "Cor", "Tra"), centre + np.array([0, 0, 4.0 * k * normal * np.sign(protocol) ** 2]), strict=True
                )
            ]
            text = "### ASCCONV BEGIN ###\n" + "\n".join(lines) + "\n### ASCCONV END ###"
            block.add_new(0x20, "OB", text.encode() + b"\0" * (len(text) % 2))
        if "SpacingBetweenSlices" in strip:
            del dataset.SpacingBetweenSlices
        if compress:
            dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(folder / f"M{time}.dcm", enforce_file_format=True)
    return folder


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"normal": -1.0},
        {"second": False},
        {"number": False},
        {"compress": True},
        {"protocol": 1},
        {"protocol": -1, "normal": -1.0},
        {"protocol": 1, "strip": ("SpacingBetweenSlices",)},
        {"times": 1},
    ],
)
def test_mosaics_are_cut_into_slices_where_they_belong(tmp_path, how):
    report, volumes = ingested(mosaic(tmp_path / "in", **how))
    assert report.codes() == {}
    times = how.get("times", 2)
    assert offsets(volumes) == list(range(times))
    for volume, _ in volumes:
        assert volume.geometry.shape == (TILES, *TILE)
        low = min(volume.geometry.position_lps_mm(0, 0, 0)[2], volume.geometry.position_lps_mm(TILES - 1, 0, 0)[2])
        assert low == pytest.approx(40.0 if how.get("normal", 1) > 0 else 40.0 - 4 * (TILES - 1))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"strip": ("SliceNormalVector",)}, "SliceNormalVector"),
        ({"strip": ("SpacingBetweenSlices",)}, "SpacingBetweenSlices"),
        ({"image": {"SliceNormalVector": [0.0, 1.0, 0.0]}}, "one normal"),
        ({"image": {"ProtocolSliceNumber": [6]}}, "ProtocolSliceNumber"),
        ({"protocol": 1, "image": {"SliceNormalVector": [0.0, 0.0, -1.0]}}, "contradict"),
        ({"number": False, "strip": ("NumberOfImagesInMosaic",)}, "NumberOfImagesInMosaic"),
    ],
)
def test_mosaics_whose_order_is_not_proved_are_refused_as_such(tmp_path, how, said):
    for every in (None, Action.REPAIR):
        folder = tmp_path / "in"
        report, volumes = ingested(mosaic(folder, **how) if every is None else folder, every)
        assert (report.codes(), volumes) == ({"MOSAIC": 2}, [])
        assert said in report.files[0].evidence
