# make demo   from nothing to predictions: installs, makes phantom studies, trains, evaluates, predicts; offline;
#             BUNDLE=lung_ct_classification or brain_mri_classification for another one
# make test   from nothing: installs with the test extra, lint, types, and the whole suite
# make test-fast          the tests that take little time: no training, no command in a process of its own
# make docs               from nothing: the documentation site, in build/docs; a warning is an error
# make monailabel         a MONAI Label server on 127.0.0.1 with the bundle BUNDLE, its demo's network and phantoms
# make test-integration   from nothing: a MONAI Label server that is driven over HTTP, and a packed bundle in an
#             environment that has only monai and timm
PYTHON ?= python3
BUNDLE ?= chest_xray_classification

VENV := .venv
RUN := $(VENV)/bin/python
MONAI := $(RUN) -m monai.bundle run
CONFIGS := bundles/$(BUNDLE)/configs
DEMO := demo/$(BUNDLE)
DATA := $(DEMO)/phantoms
MODELS := --ckpt_dir $(DEMO)/models
CACHE := --cache_dir $(DEMO)/cache

# without the extras of ours: MONAI Label needs pydicom 2, highdicom needs pydicom 3
LABEL := .venv-monailabel
LABEL_NEEDS := monailabel==0.8.5 'pydicom<3' dicomweb-client==0.59.3

.PHONY: demo test test-fast test-integration monailabel lint docs clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,/^$$/s/^# //p' Makefile

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed_test: pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $(VENV)/installed $@

$(VENV)/installed_docs: pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[docs]'
	touch $(VENV)/installed $@

demo: $(VENV)/installed
	test -f $(DATA)/datalist.csv || $(RUN) -m dwskd_monai phantoms $(BUNDLE:_classification=) $(DATA)
	@echo "== 1. a teacher, trained from nothing on the phantoms (offline: no pretrained weights)"
	$(MONAI) --config_file "['$(CONFIGS)/train.yaml','$(CONFIGS)/train_teacher.yaml','$(CONFIGS)/demo.yaml']" \
	  --dataset_dir $(DATA)/datalist.csv --teacher_weights random --learning_rate 0.001 \
	  $(MODELS) $(CACHE) --output_dir $(DEMO)/teacher
	@echo "== 2. two students from its weights learn from the labels, then from each other too; the better one is kept"
	$(MONAI) training --config_file "['$(CONFIGS)/train.yaml','$(CONFIGS)/demo.yaml']" \
	  --dataset_dir $(DATA)/datalist.csv --teacher_weights $(DEMO)/models/teacher.pt $(MODELS) $(CACHE) --output_dir $(DEMO)
	@echo "== 3. the deployed student on the test studies"
	$(MONAI) --config_file "['$(CONFIGS)/train.yaml','$(CONFIGS)/evaluate.yaml']" \
	  --dataset_dir $(DATA)/datalist.csv $(MODELS) $(CACHE) --output_dir $(DEMO)/evaluation
	@echo "== 4. predictions for a folder of studies"
	$(MONAI) --config_file $(CONFIGS)/inference.yaml --dataset_dir $(DATA)/test \
	  $(MODELS) --output_dir $(DEMO)/predictions
	@echo; cat $(DEMO)/evaluation/metrics.csv; echo; head -n 4 $(DEMO)/predictions/predictions.csv
	@echo; echo "model: $(DEMO)/models/model.pt  figures: $(DEMO)/evaluation/confusion_matrix.png"

lint: $(VENV)/installed_test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# one worker per core, and no threads in it: many tests wait for a process that they start
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup

test: lint
	$(PYTEST)

test-fast: $(VENV)/installed_test
	$(PYTEST) -m "not slow"

$(LABEL)/installed_monailabel: pyproject.toml
	test -x $(LABEL)/bin/python || $(PYTHON) -m venv $(LABEL)
	$(LABEL)/bin/python -m pip install --quiet --editable . $(LABEL_NEEDS)
	touch $(LABEL)/installed $@

$(LABEL)/installed_monailabel_test: pyproject.toml
	test -x $(LABEL)/bin/python || $(PYTHON) -m venv $(LABEL)
	$(LABEL)/bin/python -m pip install --quiet --editable . pytest $(LABEL_NEEDS)
	touch $(LABEL)/installed $(LABEL)/installed_monailabel $@

monailabel: $(LABEL)/installed_monailabel
	test -f $(DEMO)/models/model.pt || $(MAKE) demo VENV=$(LABEL)
	$(LABEL)/bin/python -m dwskd_monai pack bundles/$(BUNDLE) --out $(DEMO)/$(BUNDLE).zip $(MODELS) \
	  --teacher_weights $(abspath $(DEMO)/models/teacher.pt) --num_workers 0
	mkdir -p $(DEMO)/studies
	find $(DATA)/test -type f \( -name '*.png' -o -name '*.nii.gz' -o -name '[0-9]*[0-9].dcm' \) -path '*/test/*/*' \
	  -not -path '*/test/*/*/*' -exec cp {} $(DEMO)/studies \;
	PATH="$(abspath $(LABEL))/bin:$$PATH" tools/monailabel.sh $(DEMO)/$(BUNDLE).zip $(DEMO)/studies $(DEMO)/monailabel

test-integration: $(LABEL)/installed_monailabel_test
	$(LABEL)/bin/python -m pytest tests/integration

docs: $(VENV)/installed_docs
	rm -rf build/docs
	$(RUN) -m sphinx -W --keep-going -q docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf $(VENV) $(LABEL) demo build *.egg-info
