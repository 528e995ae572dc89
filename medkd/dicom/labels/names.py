"""What a structure is called: words that name nobody for people, keyed pseudonyms of everything it is called for recipes.

Labels of segments and names of regions are free text, and people write names of patients into them. A name is said as it was written
where every word of it belongs to a closed vocabulary (anatomy of PS3.16, structures of radiotherapy as in AAPM TG-263) and none is part of
an identifier of the object. All other names are kept as keyed pseudonyms: a recipe finds a structure by any name that its author knows.

Stores of earlier versions kept names and no pseudonyms; theirs are cleaned word by word instead, for the reason that
:mod:`medkd.dicom.confidentiality.earlier_names` gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from pydicom import Dataset

from data_contracts import Segment
from medkd.dicom.confidentiality.identifiers import elements_of
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.confidentiality.vocabulary import VOCABULARY


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words of planning systems, trained models and sides, beside the anatomy of the standard.
_STRUCTURES = _words("""
gtv ctv itv ptv prv igtv ictv oar roi gtvp gtvn gtvt ctvp ctvn ptvp ptvn boost avoid avoidance dose ring shell exp eval opt iso marker
fiducial fiducials seed seeds bolus couch support external skin artifact artefact contrast control irrad treated organ cavity hypoxia
tumour tumor tumours tumors lesions cysts nodules nodes met mets metastases lungs kidneys eyes lenses orbits ears breasts
testes ovaries femurs hips ribs vertebrae vertebra glands lobes vessels bones muscles ventricles hemispheres
spinalcord cord brainstem stem chiasm optic opticnerve opticchiasm lens eye cochlea parotid parotids submandibular hippocampi
hypothalamus oesophagus esophagus larynx pharynx pharynxconst constrictor glottis bowel bowelbag bag duodenum jejunum ileum caecum cecum
sigmoid anus canal sphincter penilebulb bulb femoralhead femoralheads glnd nrv musc lad lcx rca svc ivc pa av aorta atrium auricle
appendage heart myocardium pericardium oral lips lip mouth mandible teeth tooth thyroid trachea bronchus carina chestwall wall
liver spleen pancreas gallbladder stomach bladder prostate seminalvesicles sv rectum uterus cervix vagina vulva ovary testis scrotum
kidney ureter urethra adrenal adrenals suprarenal portal hepatic splenic iliac iliacs gluteus maximus medius minimus iliopsoas psoas
autochthon clavicula clavicle scapula humerus sternum costal cartilages sacrum coccyx hip femur tibia fibula patella patellae disc discs
amygdala thalamus putamen pallidum caudate accumbens cerebellum cerebrum cortex white matter gray grey csf wm gm ventral dc vessel
edema oedema enhancing necrotic necrosis core et tc wt ed ncr net whole infarct stroke penumbra hemorrhage haemorrhage hematoma plaque
background foreground healthy normal abnormal benign malignant lung airway airways trachea fissure vein veins artery arteries
left right l r lt rt lft rght anterior posterior ant post sup inf superior inferior upper middle lower mid lat med bilat both
brachiocephalic trunk submand constrict venacava vena cava seminalves ves la lv ra rv blood pool hippocamp hippocampl hippocampr
minus plus and or of the to in with without non sub total combined merged all other others manual auto final
""")
#: Sides, vertebrae and the kinds of structures of TG-263 (A_Carotid_L); other single letters may be initials.
_LETTERS = frozenset("acilmnprstvz")
#: Words that say nothing about which structure it is.
_GENERIC = _words("segment segmentation label labels region structure part mask roi object organ tissue area map seg ann")
#: Words of the standard's anatomy that are names of people too.
_EPONYMS = _words(
    "baum boyd cockett couinaud delphian diamond dodd elm giacomini hunterian id ion mark mouse meyer patient purkinje rest subject "
    "todaro willis"
)
#: Context groups of PS3.16: segmentation property types, anatomy, radiotherapy segments, common regions.
_GROUPS = ("cid7151", "cid8134", "cid9502", "cid9580", "cid4031")
#: Coding schemes whose values are public; a private scheme may hold anything.
_SCHEMES = frozenset({"SCT", "SRT", "SNM3", "DCM", "FMA", "NCIt", "UMLS", "RADLEX", "99TG263"})
_CODE = re.compile(r"[A-Za-z]{0,3}-?[0-9A-F.]{1,20}")
_TOKEN = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[A-Z]|\d+(?:\.\d+)?|[^\W\d_]+")
_PLAIN = re.compile(r"[A-Za-z0-9 _\-+.,/()~!^&:%]{1,64}")
_NUMBER = re.compile(r"\d{1,2}(?:\.\d{1,2})?|[2-8]\d{3}")
_DATES = frozenset({"DA", "DT"})


def normal_name(text: str) -> str:
    """Return a name as it is compared: lower case; underscores, hyphens and white space are one space."""
    return re.sub(r"[\s_\-]+", " ", text).strip().casefold()


def structure_key(secret: bytes, text: str) -> str:
    """Return the keyed pseudonym of a name of a structure, the same however it is spaced and capitalised."""
    return pseudonym(secret, "structure", normal_name(text))


@dataclass(frozen=True)
class Called:
    """Everything an object calls a structure, and its coded meaning.

    Attributes:
        value: voxel value it is stored as.
        label: segment label or ROI name.
        others: further names (description, observation label, file name), more specific than the code.
        scheme: coding scheme of its type.
        code: code of its type in the scheme.
        meaning: coded meaning.
        kind: interpreted type of a region, or the category of a segment.
        fallback: what it is called when nothing else may be said.
    """

    value: int
    label: str = ""
    others: tuple[str, ...] = ()
    scheme: str = ""
    code: str = ""
    meaning: str = ""
    kind: str = ""
    fallback: str = "segment"


@dataclass(frozen=True)
class Names:
    """Names of structures under one site's secret.

    Attributes:
        secret: key of the pseudonyms.
        images: headers of the images that the object belongs to.
    """

    secret: bytes = b""
    images: tuple[Dataset, ...] = ()

    def segments(self, called: Iterable[Called], *headers: Dataset) -> tuple[Segment, ...]:
        """Return the segments of one object; names that would be alike are told apart by a part of their key.

        Args:
            called: what each structure is called.
            headers: of the object: parts of names, numbers and dates in them, and in those of its images, are never said.
        """
        forbidden = identifiers_of(*headers, *self.images)
        found = [self._segment(one, forbidden) for one in called]
        names = [segment.name.casefold() for segment in found]
        return tuple(
            segment.model_copy(update={"name": f"{segment.name} {segment.keys[0][1:7]}"})
            if names.count(segment.name.casefold()) > 1 and segment.keys
            else segment
            for segment in found
        )

    def _segment(self, one: Called, forbidden: frozenset[str]) -> Segment:
        label, meaning, kind = (sayable(text, forbidden) for text in (one.label, one.meaning, one.kind))
        public = one.scheme in _SCHEMES and _CODE.fullmatch(one.code) is not None and one.code.casefold() not in forbidden
        same = meaning if normal_name(meaning) == normal_name(label) else label
        specific = same if label and not _generic(label) else ""
        further = next((text for other in one.others if (text := sayable(other, forbidden)) and not _generic(text)), "")
        coded = (f"{one.scheme}:{one.code}", one.code) if one.code else ()
        spoken = (one.label, *one.others, *coded, one.meaning, one.kind, one.fallback)
        return Segment(
            value=one.value,
            name=(specific or further or meaning or kind.lower() or one.fallback)[:64],
            label=label,
            code=f"{one.scheme}:{one.code}" if public else "",
            kind=kind,
            keys=tuple(dict.fromkeys(structure_key(self.secret, text) for text in spoken if text.strip())),
        )


def sayable(text: str, forbidden: frozenset[str] = frozenset()) -> str:
    """Return a name as it was written, or "" where a word of it is not of the vocabulary, or is part of an identifier."""
    text = text.strip()
    if not _PLAIN.fullmatch(text) or normal_name(text) in forbidden:
        return ""
    tokens = _TOKEN.findall(text)
    numbers = [token for token in tokens if token[0].isdigit()]
    words = [token.casefold() for token in tokens if not token[0].isdigit()]
    whole = re.findall(r"[a-z]+", text.casefold())
    if not any(len(word) > 1 for word in whole) or len(numbers) > 2 or not all(_NUMBER.fullmatch(number) for number in numbers):
        return ""
    if any(part in forbidden for part in (*words, *numbers, *whole)):
        return ""
    return text if all(_known(word) for word in words) or all(_known(word) for word in whole) else ""


def _known(word: str) -> bool:
    return word in _LETTERS or word in _STRUCTURES or word in _GENERIC or word in VOCABULARY or word in anatomical_words()


def _generic(text: str) -> bool:
    """Return whether a name only says that it is a structure: "Segment_1"."""
    return all(token[0].isdigit() or token.casefold() in _GENERIC for token in _TOKEN.findall(text))


@cache
def anatomical_words() -> frozenset[str]:
    """Return the words of the standard's anatomy, in lower case. Source: PS3.16, context groups of segmentation and anatomy."""
    from pydicom.sr.codedict import codes

    keywords = (keyword for group in _GROUPS for keyword in getattr(codes, group).dir())
    found = {word.casefold() for keyword in keywords for word in _TOKEN.findall(keyword)}
    return frozenset(word for word in found if len(word) > 1) - _EPONYMS


def identifiers_of(*headers: Dataset) -> frozenset[str]:
    """Return parts of names, numbers, dates and years of some headers, in lower case; values of one letter are left out."""
    found: set[str] = set()
    for header in headers:
        for keyword in ("PatientID", "AccessionNumber", "StudyID", "OtherPatientIDs", "InstitutionName", "StationName"):
            found.add(str(header.get(keyword, "") or "").casefold())
        nested = [
            item
            for keyword in ("SegmentSequence", "StructureSetROISequence", "RTROIObservationsSequence")
            for item in header.get(keyword) or []
        ]
        for dataset in (header, *nested):
            for element in elements_of(dataset):  # what cannot be parsed cannot be repeated
                if element.VR == "PN":
                    found |= {part for part in re.split(r"[\W\d_]+", str(element.value).casefold()) if part}
                elif element.VR in _DATES:
                    found |= {str(element.value), str(element.value)[:4]}
    return frozenset(text.strip() for text in found if len(text.strip()) > 1)
