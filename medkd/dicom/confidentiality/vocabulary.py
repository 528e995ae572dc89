"""The closed vocabulary of descriptions: words of acquisition, anatomy and findings, sides, makers.

A word that is a common name of people is none of it, whatever else it means: a description that keeps it might keep a patient's name.
"""

from __future__ import annotations

_WORDS = """
abdomen abdominal abnormal acquired acquisition adc adult after agfa altered anat anatomic anatomical angio angiography ankle anterior
aorta apical arm arterial artery artifact ax axial background baseline before bilateral biopsy bladder blade body bolus bone bowel brain
bravo breast breath bronchi calf canon cardiac carestream carotid cavity cc cerebral cervical chest cine class=benign class=malignant
colon contrast cor coronal corpus corrected cortex cranial ct cta cube cyst delayed derived diffusion dixon dwi dynamic ear echo edema
effusion elbow enhanced epi esaote esophagus extremity eye face fat fatsat femur field fiesta filtered finger flair flash flow fluid foot
forearm frontal fse fujifilm full fused gadolinium gallbladder ge gre group hand haste head healthcare heart hemorrhage hepatic high hip
hippocampus hitachi hold hologic humerus iac image imaging implant in infarct inferior intestine ivc joint kernel kidney knee large larynx
late lateral left leg lesion ligament limb lipoma liver lobe localizer long low lower lumbar lung lymph magnitude mammography mandible map
marrow mass max mean medial mediastinum medical medium medkd metal min mindray mip mm morphologically motion mpr mprage mr mra mrcp mri
muscle myocardium native navigator neck necrosis neoplasm nerve nodule non none normal nose oblique occipital of on orbit organ original
out ovary oxygen pancreas parallel parietal pelvis perfusion pet phantom phase philips pituitary plain plaque pons portal post posterior
pre primary projection property prostate proton pulmonary quick radial radius rapid raw reconstruction rectum reformat reformatted region
registered renal rest rib right routine sacrum sag sagittal scan scout se secondary segment segmentation septum sequence series short
shoulder siemens sinus skull slab slice small soft space spgr spin spine spleen standard stent sternum stir stomach stress structure study
subtraction superior suppressed swi systems t1 t1w t2 t2star t2w temporal tendon test thick thigh thin thoracic thorax throat thyroid
tibia time tissue toe tof tongue toshiba trace trachea transverse tse tumor turbo type ulna ultrasound under upper urinary uterus vascular
vein venous ventricle vessel view vocal volume water wave weighted whole window with without wrist xray
"""

VOCABULARY = frozenset(_WORDS.split())
