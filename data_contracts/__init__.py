"""The nouns of medkd: frozen, versioned, digestible facts. Depends on pydantic and nothing else."""

from data_contracts.cohort import Case, Cohort, CohortSet, CohortUse, LeakageCertificate, Part, Split
from data_contracts.errors import (
    CatalogueError,
    ContractError,
    DataError,
    EnvironmentProblem,
    ExplanationError,
    IngestCode,
    IngestError,
    KnowledgeError,
    LeakageError,
    MedkdError,
    RecipeError,
    RegistryError,
    SourceError,
    StoreError,
    TeacherRefused,
)
from data_contracts.explanation import (
    AttributionAgreement,
    ExplanationBundle,
    ExplanationRef,
    Lesion,
    LesionExplanation,
    MeasureValue,
    MethodRecord,
    TargetRecord,
)
from data_contracts.feedback import Feedback, LesionVerdict
from data_contracts.geometry import Geometry
from data_contracts.knowledge import KnowledgeRef, StoredView
from data_contracts.model import Checkpoint, GateFinding, GateVerdict, ManifestEntry, ModelCard, ModelManifest, ModelRef, Registered
from data_contracts.recipe import (
    Arm,
    Entry,
    Explain,
    Fit,
    Gate,
    ImageFolderData,
    Network,
    NetworkSpec,
    PhantomData,
    Recipe,
    Role,
    StudentRecipe,
    Task,
    TaskKind,
    TeacherRecipe,
    Term,
    VolumeFolderData,
)
from data_contracts.record import MIGRATIONS, RECORDS, Figure, Record, Ref, Value, load_record, read_record
from data_contracts.review import BANNER, Caveat, Finding, OutsideFocus, ReportMap, ReportModel, ReportSet, ReviewPanel, ReviewReport
from data_contracts.scorecard import Comparison, Evaluation, Scorecard
from data_contracts.study import FileOutcome, IngestedSeries, IngestReport, Outcome, SeriesRecord
from data_contracts.volume import LabelRef, Segment, StoreManifest, VolumeRef

__all__ = [
    "BANNER", "MIGRATIONS", "RECORDS", "Arm", "AttributionAgreement", "Case", "CatalogueError", "Caveat", "Checkpoint", "Cohort", "CohortSet", "CohortUse", "Comparison",
    "ContractError", "DataError", "Entry", "EnvironmentProblem", "Evaluation", "Explain", "ExplanationBundle", "ExplanationError", "ExplanationRef", "Feedback",
    "Figure", "FileOutcome", "Finding", "Fit", "Gate", "GateFinding", "GateVerdict", "Geometry", "ImageFolderData", "IngestCode",
    "IngestError", "IngestReport", "IngestedSeries", "KnowledgeError", "KnowledgeRef", "LabelRef", "LeakageCertificate",
    "LeakageError", "Lesion", "LesionExplanation", "LesionVerdict", "ManifestEntry", "MeasureValue", "MedkdError", "MethodRecord",
    "ModelCard", "ModelManifest", "ModelRef", "Network", "NetworkSpec", "Outcome", "OutsideFocus", "Part", "PhantomData",
    "Recipe", "RecipeError", "Record", "Ref", "Registered", "RegistryError", "ReportMap", "ReportModel", "ReportSet", "ReviewPanel", "ReviewReport", "Role", "Scorecard",
    "Segment", "SeriesRecord", "SourceError", "Split", "StoreError", "StoreManifest", "StoredView", "StudentRecipe",
    "TargetRecord", "Task", "TaskKind", "TeacherRecipe", "TeacherRefused", "Term", "Value", "VolumeFolderData", "VolumeRef", "load_record", "read_record",
]  # fmt: skip
