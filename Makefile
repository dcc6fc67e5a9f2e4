# Two commands from a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: env browser demo test tested quick lowest lint docs notebooks train train2 pixels studies rows reliability clean

unexport PYTHONDONTWRITEBYTECODE  # else every interpreter that a test starts compiles all anew

env: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "daamkit wants Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@echo "installing into .venv; this takes a minute or two"
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: env
	$(BIN)/daamkit explain "a red cat next to a blue car" --out demo

PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal  # a process for each core

test:  # what installs and checks on one core, beside what does on the other
	@$(MAKE) --no-print-directory -j2 lint tested

tested: env browser
	$(PYTEST) --durations=30 --durations-min=10

quick: env lint  # without notebooks, browser, site, trainings and studies
	$(PYTEST) -m "not slow"

# The lowest versions that pyproject.toml allows (docs/versions.md), in an environment of their own.
lowest: .lowest/.installed
	OMP_NUM_THREADS=1 .lowest/bin/pytest tests -m "not slow" -o addopts="--import-mode=importlib" -o filterwarnings=default

.lowest/.installed: tests/lowest.txt
	$(PYTHON) -m venv --clear .lowest
	.lowest/bin/pip install --quiet --disable-pip-version-check -r tests/lowest.txt -e .
	touch $@

browser:  # some tests look at pages
	@for name in chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && exit 0; done; \
	echo "installing Chromium"; \
	{ apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } \
		>/dev/null 2>&1 || echo "no Chromium, and no right to install it here: tests/browser is \
	skipped, and fails where CI is set. Try: sudo apt-get install chromium"

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: env
	$(BIN)/python docs/listing.py
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

notebooks: env  # run them and write what they show
	$(BIN)/python notebooks/execute.py

train: env
	$(BIN)/python -m daamkit.toybox.training.unet --out build/toybox --images 66500 --scenes 80000 \
		--samples 200000 --resume
	$(BIN)/python -m daamkit.toybox.training.oracle --out build/toybox --images 190000
	$(BIN)/python -m daamkit.toybox.training.clip --out build/toybox --images 48000

train2: env  # world 2; each goes on where it stopped
	$(BIN)/python -m daamkit.toybox.training.flux --out build/flux --shards 20 --samples 225000 \
		--sides 3 --to-noise 0.5 --resume
	$(BIN)/python -m daamkit.toybox.training.unet --out build/toybox-2 --world 2 --drawn build/flux \
		--shards 20 --samples 220000 --sides 4 --resume
	$(BIN)/python -m daamkit.toybox.training.oracle --out build/toybox-2 --world 2 \
		--images 90000

pixels: env  # the setting of Self-Attention Guidance's paper, small: pixels without text
	$(BIN)/python -m daamkit.toybox.training.pixels --out build/pixels --side 32 --samples 206000 \
		--resume
	$(BIN)/python -m daamkit.toybox.training.pixels --out build/pixels --export build/pixels-model
	$(BIN)/daamkit study self_attention --model build/pixels-model --settings none sag \
		--out build/studies/pixels/self_attention

# How many cases; of toybox-flux, the slower one, half as many.
COUNTS := binding:60 relations:400 parts_of_speech:300 adjectives:200 objects:600 likeness:440 \
	guidance_effects:120
GUIDANCE := none attend_and_excite syngen divide_and_bind search redraw_oracle redraw_loss redraw_clip
CONSTANTS := none attend_and_excite all_steps unsmoothed unrefined low_thresholds high_thresholds \
	small_moves large_moves
SOME_GUIDANCE := none attend_and_excite redraw_oracle redraw_loss redraw_clip
SOME_CONSTANTS := none attend_and_excite unrefined small_moves large_moves
SHOWN := attribution interventions objects parts_of_speech relations cohyponyms adjectives neglect \
	guidance_effects self_attention

studies: env build/studies  # those of the pages, on both models of world 2; each goes on where it was
	for model in toybox-2 toybox-flux; do \
		study() { name=$$1; shift; $(BIN)/daamkit study $${name%:*} --model $$model --world 2 "$$@" \
			--out build/studies/$$model/$${name#*:}; }; \
		test $$model = toybox-2 && part=1 && guidance="$(GUIDANCE)" && constants="$(CONSTANTS)" || \
			{ part=2; guidance="$(SOME_GUIDANCE)"; constants="$(SOME_CONSTANTS)"; }; \
		test -e data/attribution/$$model.json || $(BIN)/python -m daamkit.studies.lessons $$model \
			--world 2 --out data/attribution/$$model.json || exit 1; \
		study layers --n 600 || exit 1; \
		study attribution --n 900 --robustness || exit 1; \
		study attribution:attribution-draws --n $$((180 / part)) --draws 2 || exit 1; \
		study attribution:attribution-words --levels 300 --n $$((150 / part)) --every-word || exit 1; \
		study interventions --levels 600 --n $$((300 / part)) || exit 1; \
		study faithfulness --levels 600 --n 30 || exit 1; \
		study necessity --levels 600 --kinds block heads --n 30 || exit 1; \
		study cohyponyms --vocabulary toybox-2 --n $$((440 / part)) || exit 1; \
		for each in $(COUNTS); do \
			study $${each%:*} --n $$(($${each#*:} / part)) || exit 1; \
		done; \
		study adjectives:adjectives-replay --n $$((40 / part)) --replay || exit 1; \
		study neglect --methods $$guidance --n $$((276 / part)) || exit 1; \
		study neglect:neglect-several --methods $$guidance --n 90 \
			--asked two three four "two coloured" "three coloured" || exit 1; \
		study neglect:neglect-constants --methods $$constants --n 60 --asked two three || exit 1; \
		study neglect:neglect-coloured --methods none attend_and_excite unrefined small_moves --n 40 \
			--asked "two coloured" || exit 1; \
	done
	$(BIN)/daamkit study self_attention --model toybox-2 --world 2 --settings none sag \
		--out build/studies/toybox-2/self_attention
	$(BIN)/daamkit study agreement --model toybox-2 --other toybox-flux --out build/studies/agreement
	$(BIN)/python -m benchmarks.hours build/studies
	$(BIN)/python docs/tables.py build/studies
	for name in $(SHOWN); do cp build/studies/toybox-2/$$name/$$name.png docs/images/; done
	cp build/studies/toybox-flux/attribution/attribution.png docs/images/attribution-flux.png

build/studies:  # what was measured when the pages were written
	mkdir -p $@
	for each in benchmarks/rows/*.tar.xz; do \
		test ! -e $$each || tar -xJf $$each -C $@ || exit 1; \
	done

rows:  # keep what is measured in benchmarks/rows
	mkdir -p benchmarks/rows
	cd build/studies && for each in */study.json */*/study.json; do \
		folder=$${each%/study.json}; \
		tar -cJf ../../benchmarks/rows/$$(echo $$folder | tr / -).tar.xz --sort=name --mtime=@0 \
			--owner=0 --group=0 --numeric-owner $$folder/study.json $$folder/*.parquet || exit 1; \
	done

reliability: env  # what the package knows of each toybox, and how good it is
	for model in toybox toybox-2 toybox-flux; do \
		test $$model = toybox && set -- --n 420 || set -- --n 840 --world 2; \
		$(BIN)/daamkit study reliability --model $$model --split seen --seed 50000 $$@ \
			--out build/reliability-$$model || exit 1; \
		$(BIN)/python -m daamkit.studies.calibrate build/reliability-$$model \
			--out data/reliability/$$model.json || exit 1; \
		test $$model = toybox && set -- --n 210 || set -- --n 420 --world 2; \
		$(BIN)/daamkit study reliability --model $$model $$@ \
			--out build/studies/$$model/reliability || exit 1; \
	done
	$(BIN)/daamkit study reliability --model toybox-flux --world 2 --by-step --n 840 --split seen \
		--seed 50000 --out build/reliability-toybox-flux-steps
	$(BIN)/python -m daamkit.studies.calibrate build/reliability-toybox-flux-steps \
		--out data/reliability/toybox-flux.steps.json
	$(BIN)/daamkit study reliability --model toybox-flux --world 2 --by-step --n 420 \
		--out build/studies/toybox-flux/reliability-steps
	cp build/studies/toybox/reliability/reliability.png docs/images/

clean:
	rm -rf .venv .lowest build demo explained docs/notebooks
