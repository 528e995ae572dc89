"""Words that names of structures are made of, beside those of ``words``: organs, bones, vessels, parts of the brain, what is found in them,
what is drawn for radiotherapy, and devices. From the meanings of DICOM PS3.16 context groups 2, 244, 4031, 6300, 7150, 7151, 7159, 7194, 7196,
8134, 9502, 9514 and 9580, without eponyms: a structure named after a person would let that name stay.
"""

from __future__ import annotations

WORDS = """
abdomenwall abdominopelvic abducens abscess accessory accumbens acetabulum acromioclavicular acromion adenohypophysis adenoid adenoma
adrenal adventitia afferent air airway ala all alveolar amygdala anal and aneurysm angioplasty angle anomalous antecubital anterolateral
antihelix antitragus antra antrum anus aortic aortopulmonary apex appendage appendiceal appendicular appendix applicator aqueduct
arachnoid arch arcuate area areola arteries arteriosum arteriosus arteriovenous articular aryepiglottic ascending ascitic aspect
atherectomy atlantal atlanto atrial atrioventricular atrium auditory auricle auricular autochthon autonomic avoid avoidance axilla
axillary axis azygoesophageal azygos azygous back backrest baffle bag ball balloon basal base basilar basilic below benign between
bifurcation bil bile biliary bite bleeding block blood bodies bones boost border both bowelbag brachial brachiocephalic brachytherapy
brainstem branch broad bronchial bronchus buccal buccinator bulb bullet bundle bursa buttock calcaneal calcaneus calcification calcified
callosum calyx canal cancer canthus capillary capsular capsule carcinoma cardia cardiophrenic cardiovascular carina carnae carpal carpus
cartilage caruncle cast catheter cauda caudal caudate cava caval cecum celiac cell cells center central centralis centrilobular cephalic
cerebellar cerebellum cerebrospinal cerebrum cervico cervix chair chamber channel cheek chiasm chin chordae choroid ciliary cingulate
cingulum circle circumflex cisterna class clavicle clavicula clavicular clip clitoris clot clothing coccygeal coccyx cochlea coeliacus
coil coin colic collar collateral collection collimator colorectal column commissure common communicating communication communis
complement compression concha conduit condyle confluence congenital conjunctiva connective consolidation continuation contour coracoid
cord cordis cornea corneal coronary corticobulbar corticospinal costa costal costarum costocervical couch couchsurface craniocaudal
cranium crease cricoid cricopharyngeus crus csf ctv ctvn ctvp cubital curvature cystic deep defect deferens defibrillator deltoid dental
descending detachable device diagonal diamond diaphragm diaphragmatic diencephalon diffuse digit digital diode disc discs disease disk
distal division dorsal dorsalis dorsi dorsum dose dosimeter dosimetry duct ductus duodenum dura edge efferent elm elongated embolism
embolization embolus embryonic emphysema endo endocardium endometrium endothelium endotracheal enhancing entire entorhinal epicardial
epicardium epididymis epigastric epiglottis epiploic epithelium epitrochlear erector esophageal ethmoid exclude external extra extracted
extrapulmonary extremities eyeball eyebrow eyelash eyelid eyes facet facial false fascial fasciculus feces feeding female femoral
fetlock fibers fibroglandular fibromuscular fibrosis fibula fibular fiducial fifth filter first fissure fistula fixation flank flexure
floor fold fontanel foramen forceps forefoot forehead foreign forelimb fornix fossa fourth fovea fracture frame frenulum from fronto
frontotemporal function fundus funiculus ganglia ganglion gas gastric gastro gastrocnemius gastroduodenal genicular genital genitalia
genu gingiva girdle gland glands glans glenoid glioma globus glossopharyngeal glottis glue gluteal gluteus gm gonads grade graft
granuloma great greater groin groove gross gtv gtvn gtvp guiding gutter habenular haematoma hair half hard headframe headrest healthy
heel helix hemangioma hematoma hemisphere hemolymph hepatitis hepatocellular hernia hiatus highest hilar hilum hindfoot hindlimb
hippocampal horizontal hunterian hyoid hypochondriac hypogastric hypoglossal hypopharynx hypothalamus hypothenar ileal ileocolic ileum
iliac iliocostalis iliopsoas ilium ilm imager incisor incisure including index infection infiltrate inflammation inflow infra infraalar
infraclavicular infraspinatus infundibulum inguinal inlay inner innermost innominate insula interatrial intercostal interdigitating
interest interface interiliac interlobar interlobular intermediate internal interpectoral interstitial intertragal interventricular
intestinal intima intra intracranial intraglandular intramammary intraparotid intrapulmonary introitus invasive iris ischemia ischemic
ischium isthmus itv jaw jawline jejunostomy jejunum jewelry jugular junction juxtaintestinal juxtaposed kidneys knob label labia labium
labyrinth lacrimal lacunar lad lamina laser latissimus layer lcx lead leads legs lemniscus lens lenses lesions lesser levator levatores
ligamentum limbic limiting line lingual lip lips liquid lobar lobule located longissimus longitudinal loop lt lucency lumbo lumen lungs
lymphatic lymphoid main major majorum majus male malignant malleolar mamillary mammary mandibular manubrium margin marginal marker
mastoid mater matter maxilla maxillary measuring meatus media median mediastinal medulla melanoma membrane meninges meningioma meniscus
mesenteric mesentery mesorectum mesothelium metacarpal metacarpus metastases metastasis metastatic metatarsal metatarsus mid midbrain
midcolic middle midlung minor minora minus mitral mold mosfet mouse mouth mucosa muscles myelin myelon myocardial nail nasal nasi nasion
nasolabial nasopharyngeal nasopharynx navicular ncr near necrotic needle negative neoplasia nerves nervous net network neurohypophysis
nigra nipple nodal node nodes nodular nodules not notch nuchal nucleus object obturator occlusion ocular oculomotor odontoid oesophagus
old olfactory omental omentum opacity opaque ophthalmic optic oral orbital orifice oropharyngeal oropharynx osld osseous ostium other
outer outflow oval ovarian pacemaker pad paddle palate palatine palatoglossal pallidum palm palmar pancreatic pancreaticoduodenal
pancreaticosplenic papillary para paracervical paraesophageal parahippocampal paramammary parametrial paranasal pararectal paraspinal
parasternal parathyroid paratracheal paravaginal paravesicular parenchyma parotid part particulate pastern patella patent pathology
pathway pectoral pectoralis pedicle peduncle pelvic penis percutaneous perforating perforator perforators pericardial pericardiophrenic
pericardium perigastric perilesional perineum perioral peripancreatic peripheral perirectal peritioneum peritoneal peritoneum peroneal
petrous phalanges phalanx pharyngeal pharyngotympanic pharynx philtrum photoreceptors phrenic physical pia pineal pinna placenta plantar
pleura pleural plexus pneumonia pneumothorax polyp popliteal portacath portion positive postauricular postaxial posterolateral
posteromedial postvesicular preauricular preaxial prececal precuneus prefemoral prelaryngeal prepericardial prepuce presymphysial
pretracheal prevascular prevertebral prevesicular primitive process profunda promontory proper prostatic prosthesis proximal prv psoas
ptv ptvn ptvp pubic pubis pulmonale pulmonic putamen pyloric pylorus pyriform quadrant radiation radioactive radiotherapy ramus rca
recess rectal reference regional registration residual retina retrocecal retromolar retroperitoneal retroperitoneum retropharyngeal
retropyloric retrotracheal ribs ring roi root rotational rplgd rt ruler sac sacral sacro sacroiliac salivary saphenofemoral
saphenopopliteal saphenous scalene scalenous scalp scapula scapular scar sciatic sclera sclerosis scrotum seat second segmental sella
semicircular seminal septal serratus sesamoid shaft sheath shield shin shot shunt side sigmoid single sino sinuses site sixth skeletal
skeleton skin smallest sole soleal solid source spatial specific sphenoid sphere sphincter spinae spinal spinalcord spinalis spinous
spleenic splenic splenium spots stage staple steatosis stem sternal sternoclavicular sternocleidomastoid stiffle stomachal stretcher
stria striatum stripe stroke stroma structures stump subaortic subarachnoid subcapsular subcarinal subclavian subcortical subcostal
subcutaneous subiliac submandibular submental subpyloric subscapular subscapularis subsegmental substance substantia subxiphoid
superficial support supra supraclavicular supraglottis supramammary suprapulmonic suprapyloric supraspinatus suprasternal surface
suspicious suture sylvian sympathetic symphysis system systemic table talus tapetum target tarsal tarsus teeth telencephalon
tempomandibular temporomandibular tendineae tentorium teres terminal terminalis testicle testicles testicular testis thalamic thalamus
the thenar therapy thermoluminescent third thoracis thoraco thrombus thumb thymus thyrocervical tibial tip tmj tonsil tooth torus total
trabeculae tracheal tracheobronchial tracheotomy tract tragus transition transjugular transluminal transversus trapezius triangle
triatriatum tributary triceps tricuspid trigeminal trigone trochanter trochlear true truncus trunk tubal tube tubercle tubes tumors
tumour tumours turcica tympanic ulnar umbilical umbilicus uncinate unilateral unit ureter ureteric urethra urethral urine uterine uvula
vacuum vagina vaginal vagus valve vas vasculature vena ventral ventricles ventricular vermilion vermis vertebra vertebrae vertebral
vertex vertical vertrebrae vesical vesicle vesicles vesicular vestibule vestibulocochlear vitreous vomer vulva vulval wall waste wing
wire wm womb wound xiphoid zone zygoma
"""
