# medkd: `make demo` shows it, `make test` proves it. Both do all set-up on a fresh machine.
.DEFAULT_GOAL := help
.PHONY: help setup system demo test test-extended lint reference bench-peers bench-nnunet clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TORCH := 2.13.0
# Index of PyTorch's CPU wheels, for machines without a GPU whose pip does not know one; empty uses pip's own settings.
TORCH_INDEX ?=
WORKERS ?= 2
# The packages whose formulas everything rests on; fewer than 95 % of their lines reached by their own tests is a failure (tests/conftest.py
# counts while these run).
COVERAGE := --cov=data_contracts --cov=medkd/attribution --cov=medkd/distillation --cov=medkd/measures --cov-fail-under=95 \
  --cov-report=term:skip-covered
# With several worker processes each computes with one thread: two threads each would fight over the cores.
export OMP_NUM_THREADS ?= 1
# A run starts several processes: where bytecode is not written, each compiles everything anew, six seconds of them.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true
export PIP_DISABLE_PIP_VERSION_CHECK = 1

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## make .venv with everything that is pinned in pyproject.toml

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Without a GPU the CPU build is wanted: a bare "torch" brings gigabytes of CUDA packages.
	@if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then \
	  $(BIN)/pip install --quiet "torch==$(TORCH)"; \
	elif [ -n "$(TORCH_INDEX)" ]; then \
	  $(BIN)/pip install --quiet "torch==$(TORCH)" --index-url "$(TORCH_INDEX)"; \
	else \
	  $(BIN)/pip install --quiet "torch==$(TORCH)+cpu" 2>/dev/null || $(BIN)/pip install --quiet "torch==$(TORCH)"; \
	fi
	$(BIN)/pip install --quiet --quiet -e ".[dev]"
	@# OHIF's own reader takes part in certificates of DICOM results where Node is there.
	@if command -v npm >/dev/null 2>&1; then $(BIN)/python -m medkd.results.ohif || echo "OHIF's reader is missing: its tests skip"; fi
	@# axe-core, which pages are tested with.
	@if command -v npm >/dev/null 2>&1; then mkdir -p $(VENV)/axe && cp tests/review/axe/package*.json $(VENV)/axe/ \
	  && (cd $(VENV)/axe && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) || echo "axe-core is missing: its tests skip"; fi
	touch $@

system: ## install the system packages that some tests use (Debian, as root); does nothing elsewhere
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  command -v chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; \
	  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; }; \
	  test -x /usr/sbin/Orthanc && ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so >/dev/null 2>&1 && command -v storescu >/dev/null 2>&1 \
	    || { apt-get update -qq && apt-get install -y -qq --no-install-recommends orthanc orthanc-dicomweb dcmtk >/dev/null; service orthanc stop >/dev/null 2>&1 || true; }; \
	  test -x /usr/sbin/nginx || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light >/dev/null; service nginx stop >/dev/null 2>&1 || true; }; \
	  { fc-list :lang=zh 2>/dev/null | grep -q . && ls /usr/lib/*/libpangoft2-1.0.so.0 >/dev/null 2>&1; } \
	    || { apt-get update -qq && apt-get install -y -qq --no-install-recommends fontconfig fonts-wqy-microhei libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 >/dev/null; }; \
	else echo "not root or no apt-get: tests that need chromium, a Chinese font, postgresql, orthanc, dcmtk or nginx will skip, naming it"; fi

demo: $(STAMP) ## the whole way: phantom DICOM, teachers, students, explanations, registry, reports
	$(BIN)/medkd demo

test: $(STAMP) ## all tests but the extended ones, with coverage; ruff is one of them, mypy is `make lint`
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -m "not extended" -q $(COVERAGE)

test-extended: $(STAMP) ## all tests
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -q

lint: $(STAMP) ## ruff over everything, mypy (strict) over all packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reference: $(STAMP) ## write docs/reference and the JSON Schema of every record to docs/schemas
	$(BIN)/python -m data_contracts
	$(BIN)/python -m flows.reference

bench-peers: ## make .venv-bench with the tools that benchmarks compare with
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet "torch==$(TORCH)+cpu" 2>/dev/null || .venv-bench/bin/pip install --quiet "torch==$(TORCH)"
	.venv-bench/bin/pip install --quiet monai==1.6.1 itk==5.4.7 SimpleITK==2.5.7 dcm2niix==1.0.20260724 dicom2nifti==2.6.2 \
	  highdicom==0.28.2 dicom-anonymizer==2.1.0 deid==0.4.13 dicognito==0.19.0 nibabel==5.4.2 \
	  captum==0.9.0 quantus==0.6.0 einops==0.8.2 scikit-image==0.26.0 pydantic safetensors==0.8.0 jaxtyping==0.3.11

# nnU-Net's architectures come with transformers, for which they ask for timm, and that for torchvision: its U-Nets need neither, so its own parts are
# installed without what they depend on.
bench-nnunet: bench-peers ## add nnU-Net v2 to .venv-bench, for tests.benchmarks.nnunet_peer
	.venv-bench/bin/pip install --quiet --no-deps nnunetv2==2.8.1 dynamic_network_architectures==0.4.4 acvl_utils==0.2.6 batchgenerators==0.25.1 batchgeneratorsv2==0.3.2
	.venv-bench/bin/pip install --quiet SimpleITK==2.5.7 graphviz tifffile requests seaborn imagecodecs yacs blosc2 pandas fft-conv-pytorch connected-components-3d scikit-learn scikit-image nibabel==5.4.2 einops

clean: ## remove the virtual environment and what runs left
	rm -rf $(VENV) runs store
