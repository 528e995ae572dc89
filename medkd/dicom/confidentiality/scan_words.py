"""Words of examinations, acquisitions and machines beside those of ``vocabulary``: what research needs of a description and of a device.

Words of descriptions name no people. Words of machines are kept where an attribute says what the machine is and nowhere else: some models are
called like somebody. From PS3.16 (context groups 29 to 33, 4009 to 4051), conformance statements, and examination codes as orders have them.
"""

from __future__ import annotations

from medkd.dicom.confidentiality.anatomy import WORDS

#: Without these a description says the opposite: "W/O CONTRAST".
_JOINING = "and or to no not w wo w/o vs plus"
_EXAMINATIONS = """
3d 2d 4d arthrogram arthrography bold cest cholangiogram cholangiography colonography colonoscopy cranium cystogram cystography dbt dce dexa
dexascan diagnostic diffusionweighted digital doppler dsa dsc dti duplex dx dynamik echocardiogram ecg elastography enterography exam examination
fluoroscopy fmri followup guided hrct mammo mammogram mammographic mammograms mri multiparametric myelogram myelography nuclear pet/ct
portable screening sonogram sonography spect spectroscopy tomosynthesis tractography ultrasonography urogram urography venogram
venography views xa xr xray pt mg rf nm us cr protocol standing bedside abd pel con diag fetal kub lt rt pe std survey tomo trauma limited complete triphasic biphasic multiphasic dose intraoperative postoperative preoperative postop preop finding
"""
_PLANES_AND_PHASES = """
angled anteroposterior ap axials bh breathhold breathheld coronals curved dec decubitus diastole diastolic equilibrium erect excretory exp expiration
expiratory fb flexion freebreathing gated insp inspiration inspiratory lat ll lm lo lpo lao loc localiser localizers mlo multiplanar nativ
nephrographic nonenhanced oblq obli obl ohne orthogonal pa panoramic pilot planar plane planes portovenous post1 post2 post3 postcontrast
postgad pre1 precontrast prone prospective pyelographic quiet rao resolved rest retrospective rpo scanogram seated grid single spot static
stitched supine surview systole systolic thins topo topogram tra transaxial transversal triggered triplane ungated unenhanced unilateral
upright washin washout weightbearing xccl xccm ml magnification magnified
"""
_SEQUENCES = """
asl avg blade bssfp caipirinha ce ciss csi dess dir dis2d dis3d dki ecg_gated ep2d ep3d epi2d fast ffe fid fir fisp fl2d fl3d fq fr frfse fs fsat fspgr gmn gr2d
gr3d hires highres ideal iso isotropic lava mag magn me medic megre mers minip mip mpr2 mprage multiecho nat nav ncmra pd pdfs pdw
pha propeller qalas qsm rcbv rcbf mtt ttp tmax rt r2star sat se2d ser sms space3d spair spir spir_fs ssfp ssfse sshot stirs swan t1fs
t1c t1post t1pre t1rho t2fs t2post te tf tfe tfi tfl tfl2d tfl3d thrive ti tir tirm tr tricks trufi truefisp tse2d tse3d twist vibe wi
ethrive st1w st2w mdixon opposed phase cbf cbv sub fatfrac r2 values diff dyn reg p2 p3 p4 s2 s3 fov wfs
"""
_RECONSTRUCTION = """
ac admire asir attenuation averaged calcium collection ctac cor2 denoised emission fbp filt gating highdose idose iq iterative kernel ld lowdose mac mbir
monoenergetic nac nonattenuation osem psf recon recons reconstructed reformats registered resampled safire scatter score sharp smartscore smooth
spectral suv thickslab uncorrected veo virtual vrt wb wholebody window windowed overlay projected range signed
"""
_AGENTS = """
accupaque bracco clariscan conray cysto dotarem eovist fdg fluorodeoxyglucose gad gadavist gadobenate gadobutrol gadopiclenol gadoterate
gadoteridol gadovist gadoxetate gastrografin gd hexabrix iodine iodixanol iohexol iomeprol iomeron iopamidol iopamiro iopamiron iopromide ioversol isovue
lumason magnevist multihance omnipaque omniscan optimark optiray oxilan primovist prohance readi saline sonovue telebrix ultravist vasovist
visipaque xenetix
"""
_MAKERS = """
ag co company corp corporation elekta gevaert gmbh inc instruments kodak konica lorad ltd llc mec medison minolta neusoft planmed
samsung shimadzu software sonosite uih varian ziehm oec accuray sirona
"""
#: Words of anatomy that people are called more often than a description needs them.
_SURNAMES = """
back ball base block blood broad bullet cast chamber class cord cross deep foreign from glass great gross hair half hard healthy heel knob label lead leads
light lips main major male marker minor mold nail nails old out oval pad palm part pole ring root seat second shield single skin sole stage stem
table the third thumb true tip unit wall waste wing wire
"""
#: What stays of a description besides the words of ``vocabulary``.
DESCRIPTION_WORDS = (frozenset(WORDS.split()) - frozenset(_SURNAMES.split())) | frozenset(
    " ".join((_JOINING, _EXAMINATIONS, _PLANES_AND_PHASES, _SEQUENCES, _RECONSTRUCTION, _AGENTS, _MAKERS)).split()
)
#: Contrast agents, behind which a concentration stands.
AGENTS = frozenset(_AGENTS.split())

_MODELS = """
3dimensions access achieva activion acuson adc advance advantx advia aera affiniti affirm airis aixplorer alexion allegra allura altea ambition amira antares
aplio aquilion architect artis artist ascend aspire as avanto axiom balance biograph brightspeed brilliance bodyguard bravo capsula carbon
ceph clarity clearview clearvista compact cosmos crystal definition definium dictator digital digitaldiagnost dimensions direct directview discovery dmr
dr drive drx ds dual eclipse echelon edge elition elite emotion empower epiq eon espree essenta essential essenza evo evolution excel excite
explorer fcr fdr flash flex force fr galan gemini genesis go harmony hd hdx hdxt hispeed horizon ict imager infinia ingenia ingenuity innova
inspiration integris intera intuition iqon iu22 kodak lightning lightspeed logiq lumina luminos magnetom mammomat max mct mediso millennium mmr mobilett
molecular motion multix mx noblus nova novation omni onyx one open optima optimus orian oval panorama performance perspective philips pioneer pixel
plus polaris precision premier prime prisma pristina pro profect quantum radnext revelation revolution rotate scenaria scope select selenia sensation
senographe sequoia sensus signa sireskop skyra smart sola solo somatom sonata sonialvision sonixtouch sparq spectra spectris spirit speedia supria symphony syngo
system tandem terra tim titan trio triotim truepoint turbo uct umi umr uexplorer ultra up upgrade vantage vereos verio velocity vct vertix vida vision visionary vista
vivid voluson voyager xario xcelera xelis xpress xr ysio zenition all
"""
_COILS = """
abdominal anterior array bc birdcage bi bilat biopsy body brain breast c1 cardiac coil combined cp ctl ear endorectal extremity flex flexible
foot forearm gems head headneck hd hns hna knee large left lower lumbar matrix medium multi multicoil mp neck neurovascular nv
orbit pa peripheral phased posterior qbody quad quadrature receive right sense shoulder single small sp spine surface t torso transmit trt trtorso upper
volume wrist hrbrain hrw
"""
_METHODS = """
3dir acf adaptive algorithm analytic attenuation backprojection based bicubic butterworth calculated com convolution correction corrected ct derived dlyd emission
estimated fbp filtered fore fourier gauss gaussian hann hamming ir isrecon iterations iterative kernel likelihood lor map maximum measured mlem model mr mrac mu
none null ordered osem postfilter pet projection psf psftof ramla rebinning recon reconstruction relative scatter segmented shepp sharpir simulation single
smoothed ssrb sub subsets subtraction subsets tof toftrue true truex transmission trues ultrahd vpfx vpfxs vphd xyz zoom
abd ob gyn gen genl msk nerve smp smallparts vasc venous thyroid cardiac adult pediatric obstetrical gynecology fetal vascular
gp st hr hs vi csbr bafbr bafi gos csi csii phosphor needle storage
"""
_SOFTWARE = """
software release version apps lightspeedapps syngo numaris gmp vct hdt pet ct mr mg us coreload hdt dv lx sp build rev patch sw vips ads acp ib pms via patched
syngovia es vb va vg ve vd va11 xa platform
"""
#: What stays of a text that says what the machine is, how it was set up and what it computed.
DEVICE_WORDS = (
    frozenset(" ".join((_MODELS, _COILS, _METHODS, _SOFTWARE)).split())
    | DESCRIPTION_WORDS
    | frozenset(
        {
            "iv",
            "oral",
            "rectal",
            "intravenous",
            "intraarterial",
            "intrathecal",
            "po",
            "pr",
            "injection",
            "infusion",
            "bolus",
            "drip",
            "hand",
        }
    )
)

#: Option Retain Patient Characteristics: groups as registration systems list them (PS3.3 C.7.1.3, an attribute of free text).
ETHNIC_GROUPS = frozenset(
    {
        *("asian", "black", "caucasian", "hispanic", "latino", "white", "other", "unknown", "declined", "multiracial", "african american"),
        *(
            "american indian",
            "alaska native",
            "pacific islander",
            "native hawaiian",
            "middle eastern",
            "not hispanic",
            "hispanic or latino",
        ),
        *("not hispanic or latino", "black or african american", "american indian or alaska native", "a", "b", "c", "h", "o", "u", "w"),
    }
)
