# What this needs: Rust (by rustup) with a C compiler, Python 3.11 or newer with venv, git, make. The tests need openssl, too, and what
# `make test-all` adds a C++ compiler, Node 20 or newer with npm, valgrind, and, on another processor than arm64, qemu with the C library
# of arm64. Everything else it installs here, under .venv/ and target/, and nowhere else, except that cargo-lambda adds arm64 to the Rust
# toolchain.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := $(CURDIR)/.venv
TOOLS := $(VENV)/installed
DENY := $(CURDIR)/target/tools/bin/cargo-deny
DENY_VERSION := 0.20.2
FUZZ := $(CURDIR)/target/tools/bin/cargo-fuzz
FUZZ_VERSION := 0.13.2
BENCH := $(CURDIR)/target/bench
ADOBE := $(CURDIR)/target/adobe
CHECKOV := $(CURDIR)/target/tools/checkov/bin/checkov

export PATH := $(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
export SAM_CLI_TELEMETRY := 0
# Some tools know only one of AWS's two variables for the region.
ifdef AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
endif
# The template is checked for one region; a deployment goes where the user's own settings say.
test-template: export AWS_DEFAULT_REGION ?= eu-west-1

CHANNELS := $(sort $(notdir $(patsubst %/rules.json,%,$(wildcard functions/*/rules.json))))
# Always these together, because what they ask of the crates that they share decides how those are built.
BUNDLE := $(addprefix --package ,shared local channels $(CHANNELS))
EVENT_CHANNEL := $(filter $(CHANNELS),$(notdir $(patsubst %/,%,$(dir $(EVENT)))))
SAM_OPTIONS = $(if $(ENV),--config-env $(ENV))
# The stack of ENV, as samconfig.toml names it.
STACK_OF_ENV = $(shell $(VENV)/bin/python local/samconfig.py $(or $(ENV),default))
stack = $(or $(STACK),$(if $(ENV),$(or $(STACK_OF_ENV),$(error samconfig.toml knows no $(ENV))),$(if $(URL)$(XML),,$(STACK_OF_ENV))))
# Where the shop and the bundle are. By `exec`, so that a signal to make reaches the program, and no shell that would leave it behind.
shop = exec python commerce/shop.py $(1) $(if $(SHOP),--shop "$(SHOP)") $(if $(stack),--stack "$(stack)") $(if $(URL),--url "$(URL)") \
  $(if $(HOOK_TIMEOUT_MS),--hook-timeout-ms $(HOOK_TIMEOUT_MS)) $(if $(SOFT_TIMEOUT_MS),--soft-timeout-ms $(SOFT_TIMEOUT_MS)) \
  $(if $(CHANNEL),--channel "$(CHANNEL)") $(if $(REQUIRED),--required "$(REQUIRED)") $(if $(RENEW_OAUTH),--renew-oauth)
# Builds what reads the secret of a stack, and writes the fields that rules use into webhooks.xml. Without Rust, the program says that
# it does not know whether there is a key, and webhooks.xml is used as it is.
local_tool = if command -v cargo > /dev/null && command -v cc > /dev/null; then \
    test -e target/debug/local || echo "Building the tools (some minutes the first time) …" >&2; \
    cargo build --quiet --locked $(BUNDLE) && target/debug/local hooks; \
  fi
check_rules = $(foreach channel,$(1),$(call try_rules,$(channel)) &&) true
try_rules = target/debug/local rules $(1) $(or $(RULES),functions/$(1)/$(if $(EXAMPLES),examples,rules).json) $(EVENT) $(if $(ALL),--all) $(if $(SHOP),--shop "$(SHOP)")

# The tests that `make test` runs against an emulated AWS. `make test-all` runs every other file under local/tests/.
QUICK := $(addprefix local/tests/test_,$(addsuffix .py,alarms audit bundle channel contract decisions stage template tolerant tree))
# Those that need the functions as they are deployed, so they wait for them.
RELEASED := local/tests/test_limits.py
# Those that build and deploy, by `make deploy`.
DEPLOYED := local/tests/test_whole_deployment.py
# Those that need Adobe's client for webhooks, which is for Node.
WITH_ADOBE := local/tests/test_adobe_client.py
# Those that mostly wait, for pauses, timeouts and programs that start. They run beside the others.
WAITING := $(addprefix local/tests/test_,$(addsuffix .py,apply apply_checks apply_stopped consumer_failures consumers doctor hook_oauth journal plan \
  python_worker python_worker_away reconcile reconcile_ends reconcile_gaps reconcile_log redrive shop_hostile shop_rest smoke \
  soak_consumers))
PYTEST := python -m pytest -q
# What test-one needs beside the rest if TEST is one of these files, or all.
for_tests = $(if $(filter-out $(1),$(firstword $(subst ::, ,$(TEST)))),,$(2))
# A stage of the tests: its name, its limit in seconds (more than ten times what it takes), and then the command. local/stage.py ends it.
stage = python3 local/stage.py $(1) $(2) --
# What is installed and built on the way is a stage only in a run of all.
prepare = $(if $(STAGES),$(stage))
# Two at once: the one mostly compiles, the other mostly waits. All that can fail is tried.
stages = python3 local/stage.py --all $(1) $(2) -- $(MAKE) --silent --no-print-directory --jobs=2 --keep-going $(1)-stages

.PHONY: help run test test-all test-stages test-all-stages test-one lint test-format test-template test-rust test-clippy test-rules \
  test-stack test-deep test-others test-scanners test-fuzz test-release test-limits test-deploy figures fuzz soak soak-consumers samples \
  channel rules hooks send logs invoke start-api redrive reconcile quarantine smoke bench bench-steps bench-publish build build-Rules deploy keys plan \
  apply doctor webhooks-xml clean binaries worker which-channel prerequisites prerequisites-python prerequisites-openssl \
  prerequisites-cxx prerequisites-node prerequisites-valgrind prerequisites-qemu

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { line = sprintf("  make %-14s", $$1); count = split($$2, words, " "); \
	  for (i = 1; i <= count; i++) { if (length(line " " words[i]) > 100) { print line; line = sprintf("%21s", "") } \
	    line = line " " words[i] } print line }' $(firstword $(MAKEFILE_LIST))

run: prerequisites $(TOOLS) binaries hooks ## Bring the bundle up on this machine and send a sample of every channel (STAY=1 keeps it up)
	@{ $(call check_rules,$(CHANNELS)); } > /dev/null
	@STAY=$(STAY) python local/run.py $(if $(PORT),--port $(PORT))

test: prerequisites prerequisites-openssl ## Check style, units, template, every sample and the main decisions, in ten minutes from nothing
	@$(call stages,test,6000)

test-all: prerequisites prerequisites-openssl prerequisites-cxx prerequisites-node prerequisites-valgrind prerequisites-qemu ## Check all that make test leaves out, in forty minutes
	@echo "What make test leaves out: hostile requests, faults, a short soak, consumers, metrics, keys, TLS, large events, order, the shop's"
	@echo "side, deployment; 20,000 random inputs for all that parses; the functions as they are deployed; a whole deployment for arm64;"
	@echo "the crates beside the bundle; licences, advisories, sources of the crates; checkov on the templates. It takes forty minutes."
	@$(call stages,test-all,21000)

test-one: $(TOOLS) binaries worker prerequisites-openssl $(call for_tests,$(RELEASED),test-release) $(call for_tests,$(WITH_ADOBE),$(ADOBE)/installed) ## Run chosen tests: make test-one TEST=local/tests/test_faults.py (ARGS="-k hangs")
	$(PYTEST) $(or $(TEST),local/tests) $(ARGS)

# In the order in which they begin.
test-stages: test-format binaries hooks $(TOOLS) test-template test-stack test-rust test-rules test-clippy

# What builds most comes last: it would take time that test-limits measures.
test-all-stages: binaries $(TOOLS) $(ADOBE)/installed worker test-deep test-release test-limits test-scanners test-fuzz test-others test-deploy

ifdef STAGES
# At one target directory, one cargo waits for the other; and what waits here holds up what could run.
test-rust: | binaries
test-clippy: | test-rust
worker: | binaries
# The longest stage begins first, and the others have the rest of the machine.
test-release test-deploy test-others $(DENY) $(CHECKOV) $(FUZZ): | worker
endif

lint: test-format test-template test-rules test-clippy test-scanners ## Check style, template, rules, licences and sources, without an emulator

test-format:
	@$(call stage,format,60) cargo fmt --all --check

test-template: $(TOOLS)
	@$(call stage,template,900) sh -ec 'sam validate --lint; sam validate --lint --template consumers/template.yaml; \
	  cfn-lint template.yaml consumers/template.yaml'

test-rust: prerequisites hooks ## Run the tests of the crates
	@$(call stage,rust,2400) cargo test --quiet --locked $(BUNDLE)

test-clippy: prerequisites
	@$(call stage,clippy,1800) cargo clippy --quiet --locked --all-targets $(BUNDLE) -- -D warnings

test-rules: binaries
	@$(call stage,rules,60) $(MAKE) --silent --no-print-directory rules

test-stack: $(TOOLS) binaries hooks prerequisites-openssl ## Run every sample and the main decisions against an emulated AWS
	@$(call stage,stack,2400) $(PYTEST) $(QUICK)

test-deep: $(TOOLS) $(ADOBE)/installed binaries worker prerequisites-openssl ## Run all the other tests against an emulated AWS
	@$(call stage,deep,9000) sh -c '$(PYTEST) $(WAITING) & waiting=$$!; \
	  $(PYTEST) local/tests $(addprefix --ignore=,$(QUICK) $(RELEASED) $(DEPLOYED) $(WAITING)); others=$$?; \
	  wait $$waiting && exit $$others'

# The example of a consumer, the fuzzer, and what the benchmark is made of.
test-others: prerequisites-cxx
	@$(call stage,others,3600) sh -ec 'cargo test --quiet --locked --package worker --package stopwatch; \
	  cargo clippy --quiet --workspace --all-targets --locked -- -D warnings'

test-scanners: $(DENY) $(CHECKOV)
	@$(call stage,scanners,900) sh -ec '$(CHECKOV) --framework cloudformation --quiet --compact --skip-download \
	    --file template.yaml consumers/template.yaml; \
	  $(DENY) --log-level error check bans licenses sources; \
	  if git ls-remote -q https://github.com/RustSec/advisory-db HEAD > /dev/null 2>&1; \
	  then $(DENY) check advisories; \
	  else echo "advisories: not checked, the RustSec database is out of reach"; fi'

test-fuzz: $(FUZZ) ## Give everything that parses 20,000 random inputs
	@$(call stage,fuzz,6000) nice -n 10 python3 shared/fuzz/run.py --runs 20000

# Beside the tests it takes the processor that they leave, as test-deploy does.
test-release: prerequisites ## Build the functions as they are deployed (some minutes the first time), and look at their size and into them
	@$(call stage,release,9000) sh -ec 'nice -n 10 cargo build --quiet --locked --release $(if $(STAGES),--jobs 1); \
	  python3 local/release.py $(addprefix target/release/,$(CHANNELS))'

test-limits: $(TOOLS) binaries test-release prerequisites-valgrind prerequisites-openssl ## Fill the functions as they are deployed with generated bodies
	@$(call stage,limits,9000) $(PYTEST) $(RELEASED)

test-deploy: $(TOOLS) binaries prerequisites-qemu ## Build for arm64, deploy into an emulated AWS, change and remove the stack (a quarter of an hour the first time)
	@$(call stage,deploy,12000) nice -n 10 $(PYTEST) $(DEPLOYED)

figures: $(TOOLS) ## Show what the tests, the soak and the fuzzer measured last
	@python local/figures.py

fuzz: $(FUZZ) prerequisites-cxx ## Look for inputs that break something: make fuzz SECONDS=600 (TARGET=… for one, INPUT=FILE for an input again)
	@python3 shared/fuzz/run.py $(if $(INPUT),--input $(INPUT),--seconds $(or $(SECONDS),600)) $(TARGET)

soak: $(TOOLS) binaries ## Send events while everything fails at random: make soak (EVENTS=100000 SEED=…)
	@python local/soak.py --events $(or $(EVENTS),100000) $(if $(SEED),--seed $(SEED))

soak-consumers: $(TOOLS) worker ## Let copies of the example of a consumer work while the ERP system fails at random: make soak-consumers (EVENTS=20000 SEED=…)
	@python local/soak_consumers.py --events $(or $(EVENTS),20000) $(if $(SEED),--seed $(SEED))

samples: $(TOOLS) binaries hooks ## Renew what is derived: signed requests, answers, messages, schemas
	UPDATE_SCHEMAS=1 cargo test --quiet --locked $(BUNDLE) --test schema
	target/debug/local samples
	python local/stack.py samples

channel: prerequisites $(TOOLS) ## Add a channel: make channel EVENT=observer.… QUEUE=erp (ENTITY=order TYPE=before SAMPLE=FILE; REMOVE=… removes one; docs/channels.md)
	@exec python local/new_channel.py --event "$(EVENT)" --entity "$(ENTITY)" --queue "$(QUEUE)" --type "$(TYPE)" --sample "$(SAMPLE)" \
	  --remove "$(REMOVE)"

rules: which-channel binaries ## Check the rules files, or try one: make rules EVENT=events/CHANNEL/CASE.body.json (ALL=1: also what is not enabled; EXAMPLES=1: examples.json; SHOP=… for rules with @shop)
	@$(call check_rules,$(or $(CHANNEL),$(EVENT_CHANNEL),$(CHANNELS)))

hooks: binaries ## Write the fields that the rules use into commerce/webhooks.xml (run, test, plan, apply, doctor and deploy do so, too)
	@target/debug/local hooks

send: prerequisites ## Sign and post a file: make send ARGS="FILE --url URL" (SCHEME=ims, rsa+ims … and SHOP=eu: README; ARGS=--help for more)
	@cargo run --quiet -p local -- send $(if $(SCHEME),--scheme "$(SCHEME)") $(if $(SHOP),--shop "$(SHOP)") $(ARGS)

logs: $(TOOLS) ## Show what the functions have logged while make run STAY=1 is up (PORT=… if it is not 4566)
	@python local/stack.py logs $(if $(PORT),--port $(PORT))

invoke: $(TOOLS) prerequisites ## Run a sample by sam local invoke, in Docker: make invoke CHANNEL=sales_order_place_after CASE=ideal
	@python local/sam.py invoke $(if $(CHANNEL),--channel $(CHANNEL)) $(if $(CASE),--case $(CASE)) $(ARGS)

start-api: $(TOOLS) prerequisites ## Serve the routes by sam local start-api, in Docker (CHANNEL=… builds one function, PORT=… is not 3000)
	@python local/sam.py start-api $(if $(CHANNEL),--channel $(CHANNEL)) $(if $(PORT),--port $(PORT)) $(ARGS)

redrive: $(TOOLS) ## Move dead letters back: make redrive QUEUE=URL (DRY_RUN=1 only lists; CHANNEL=… ID=… MAX=… choose)
	@test -n "$(QUEUE)" || { echo "make: which dead-letter queue? Add QUEUE=URL"; exit 1; }
	@python consumers/redrive.py "$(QUEUE)" $(if $(DRY_RUN),--dry-run) $(if $(CHANNEL),--channel "$(CHANNEL)") \
	  $(if $(ID),--id "$(ID)") $(if $(MAX),--max "$(MAX)") $(ARGS)

quarantine: $(TOOLS) ## List the events that nobody could use (SEND=1 sends them again, DELETE=1 deletes; SHOP=… CHANNEL=… ID=… MAX=… choose; ENV=… or STACK=…)
	@python commerce/quarantine.py "$(stack)" $(if $(SEND),--send) $(if $(DELETE),--delete) $(if $(YES),--yes) \
	  $(if $(CHANNEL),--channel "$(CHANNEL)") $(if $(ID),--id "$(ID)") $(if $(MAX),--max "$(MAX)") $(if $(SHOP),--shop "$(SHOP)")

# In the place of the shell, so that a signal reaches the program itself.
reconcile: $(TOOLS) ## Find what the shop has and no accepted event tells of: make reconcile SHOP=… SINCE=6h (SEND=1 posts it; docs/reconcile.md)
	@exec python commerce/reconcile.py --exit-zero $(if $(SHOP),--shop "$(SHOP)") $(if $(stack),--stack "$(stack)") $(if $(SINCE),--since "$(SINCE)") \
	  $(if $(CHANNEL),--channel "$(CHANNEL)") $(if $(TOLERANCE),--tolerance "$(TOLERANCE)") $(if $(SETTLE),--settle "$(SETTLE)") \
	  $(if $(ALL),--all) $(if $(SEND),--send) $(if $(YES),--yes) $(if $(MAX),--max "$(MAX)") $(if $(RATE),--rate "$(RATE)") \
	  $(if $(URL),--url "$(URL)")

smoke: $(TOOLS) ## Post a check to every route of the stack, which shows that it answers and reaches no queue (ENV=…, STACK=… or URL=…)
	@python commerce/smoke.py $(if $(stack),--stack "$(stack)") $(if $(URL),--url "$(URL)") \
	  $(if $(SOFT_TIMEOUT_MS),--soft-timeout-ms $(SOFT_TIMEOUT_MS))

bench: prerequisites $(BENCH)/installed ## Measure beside a floor, plain Rust, Node and Python, in a quarter of an hour (ROUNDS=15): BENCHMARKS.md
	@echo "Building what is measured (a quarter of an hour the first time) …" >&2
	@cargo build --quiet --locked --release --bin sales_order_place_after
	@cargo build --quiet --locked --release --package stopwatch --package floor --package null --target-dir $(BENCH)
	@cargo build --quiet --locked --release --manifest-path local/bench/plain/Cargo.toml --target-dir $(BENCH)/plain
	@$(BENCH)/tools/bin/python local/bench/bench.py --rounds $(or $(ROUNDS),15)

bench-steps: prerequisites ## Measure each step of a request alone, by the size of the order, and its memory
	cargo bench --quiet --locked --package channels

bench-publish: ## Write the figures of the last make bench into BENCHMARKS.md
	@$(BENCH)/tools/bin/python local/bench/bench.py publish

build: $(TOOLS) ## Build all functions for AWS, as samconfig.toml says (ENV=prod)
	sam build $(SAM_OPTIONS)

# sam build calls this, in a copy of functions/: the content of the layer. `release` says which commit it is of. Of two versions that are
# equal Lambda makes one, and CloudFormation fails. So a release differs from the one before if the commit cannot tell them apart, or if
# that one was rolled back (NEW_RELEASE, from `make deploy`). Otherwise it does not: a deployment that changes nothing makes no version.
# samconfig.toml is no part of a release: its parameters reach the functions by themselves.
build-Rules:
	@cd "$(dir $(abspath $(firstword $(MAKEFILE_LIST))))"; \
	release=$$(git describe --always 2> /dev/null || echo unknown); \
	git diff --quiet HEAD -- . ':!samconfig.toml' 2> /dev/null || release="$$release-dirty"; \
	case "$(NEW_RELEASE):$$release" in \
	  1:* | *-dirty) release="$$release $$(date -u +%FT%TZ) $$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" ;; \
	esac; \
	echo "$$release" > "$(ARTIFACTS_DIR)/release"
	@for file in */rules.json; do mkdir -p "$(ARTIFACTS_DIR)/$${file%/*}" && cp "$$file" "$(ARTIFACTS_DIR)/$$file" || exit 1; done

deploy: $(TOOLS) ## Deploy to AWS as samconfig.toml says (ENV=prod); shows what changes, then asks (YES=1 does not; BUILT=1 builds nothing)
	@python local/preflight.py $(or $(ENV),default)
	@$(if $(BUILT),,release=$$(python local/preflight.py --new-release $(or $(ENV),default)) \
	  && NEW_RELEASE=$$release $(MAKE) --no-print-directory hooks rules build)
	@python local/deploy.py $(or $(ENV),default) $(if $(YES),--yes)
	@python local/protect.py $(or $(ENV),default)

keys: $(TOOLS) ## Add keys to the secret: make keys PEM=shop.pem, HMAC=FILE, or IMS_CLIENT=… IMS_ORG=… (SHOP=… SOURCE=…: docs/shops.md; LIST=1)
	@test 1 = "$(words $(foreach kind,PEM HMAC IMS_CLIENT LIST,$(if $($(kind)),$(kind))))" \
	  || { echo "make: which key? Add PEM=FILE, with what the Admin shows as the public key, HMAC=FILE, with a"; \
	       echo "  shared secret, or IMS_CLIENT=… IMS_ORG=…, one of these at a time"; exit 1; }
	@$(MAKE) --silent --no-print-directory binaries
	@exec python commerce/keys.py "$(stack)" $(if $(PEM),--pem "$(PEM)") $(if $(HMAC),--hmac "$(HMAC)") $(if $(IMS_CLIENT),--ims-client "$(IMS_CLIENT)") \
	  $(if $(IMS_ORG),--ims-org "$(IMS_ORG)") $(if $(LIST),--list) $(if $(SHOP),--shop "$(SHOP)") $(if $(SOURCE),--source "$(SOURCE)")

plan: $(TOOLS) ## Show what the shop's hooks lack: make plan SHOP=https://shop.example/rest/all (ENV=…, STACK=… or URL=… says where the bundle is)
	@$(local_tool)
	@$(call shop,plan) --exit-zero

apply: $(TOOLS) ## Subscribe the hooks in the shop, or change them; asks (YES=1 does not; DRY_RUN=1 CHANNEL=… REQUIRED=false ANYWAY=…: README)
	@$(local_tool)
	@$(call shop,apply) $(if $(YES),--yes) $(if $(DRY_RUN),--dry-run) $(if $(ANYWAY),--anyway "$(ANYWAY)") --exit-zero

doctor: $(TOOLS) ## Say what is wrong between the shop and the bundle (CHANNEL=… only one; XML=FILE: with a webhooks.xml)
	@$(local_tool)
	@$(call shop,doctor) $(if $(XML),--xml "$(XML)")

webhooks-xml: $(TOOLS) ## Print commerce/webhooks.xml with the timeouts of the stack, for a shop that is set up by files
	@$(local_tool)
	@$(call shop,xml)

clean: ## Remove all that was built or installed here
	rm -rf target .venv .aws-sam

binaries: prerequisites
	@echo "Building the functions (some minutes the first time) …" >&2
	@$(call prepare,build,1800) cargo build --quiet --locked $(BUNDLE)

# Apart, because only the tests need it, and its client for DynamoDB takes a minute to build.
worker: prerequisites
	@echo "Building the example of a consumer …" >&2
	@$(call prepare,worker,1200) cargo build --quiet --locked --package worker

which-channel:
	@test -n "$(CHANNEL)$(EVENT_CHANNEL)" -o -z "$(EVENT)$(RULES)" || { echo "make: which channel? Add CHANNEL=…, one of: $(CHANNELS)"; exit 1; }
	@test -z "$(CHANNEL)" -o -n "$(filter $(CHANNELS),$(CHANNEL))" || { echo "make: there is no channel $(CHANNEL), but: $(CHANNELS)"; exit 1; }

prerequisites: prerequisites-python
	@command -v cargo > /dev/null || { echo "make: Rust is missing; install it from https://rustup.rs"; exit 1; }
	@command -v cc > /dev/null || { echo "make: a C compiler is missing, with which Rust links (Debian: apt install gcc libc6-dev)"; exit 1; }

prerequisites-python:
	@python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
	  || { echo "make: Python 3.11 or newer with venv is missing (Debian: apt install python3-venv)"; exit 1; }

prerequisites-openssl:
	@command -v openssl > /dev/null || { echo "make: openssl is missing, with which the tests sign as a shop does (Debian: apt install openssl)"; exit 1; }

prerequisites-cxx: prerequisites
	@command -v c++ > /dev/null || { echo "make: a C++ compiler is missing, for the fuzzer and a peer of the benchmark (Debian: apt install g++)"; exit 1; }

prerequisites-node:
	@node --eval 'process.exit(Number(process.versions.node.split(".")[0] < 20))' 2> /dev/null && command -v npm > /dev/null \
	  || { echo "make: Node 20 or newer with npm is missing, for Adobe's client for webhooks and a peer of the benchmark"; \
    echo "make: here is Node $$(node --version 2> /dev/null || echo none) (Debian 13 has 20, Debian 12 only 18: https://nodejs.org)"; exit 1; }

prerequisites-valgrind:
	@command -v valgrind > /dev/null || { echo "make: valgrind is missing, with which the functions are measured (Debian: apt install valgrind)"; exit 1; }

prerequisites-qemu:
	@test "$$(uname -m)" = aarch64 || { command -v qemu-aarch64-static > /dev/null && test -e /usr/aarch64-linux-gnu/lib/libc.so.6; } \
	  || { echo "make: qemu is missing, with which the functions for arm64 are run (Debian: apt install qemu-user-static libc6-arm64-cross)"; exit 1; }

$(TOOLS): local/requirements.txt | prerequisites-python
	@echo "Installing the tools into .venv, once (a minute or two) …" >&2
	@$(call prepare,tools,1800) sh -ec 'python3 -m venv --clear $(VENV); $(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<'
	@touch $@

$(DENY): | prerequisites
	@echo "Building cargo-deny into target/tools, once …" >&2
	@$(call prepare,cargo-deny,6000) sh -ec 'nice -n 10 cargo install --quiet --locked --debug --no-default-features --root target/tools \
	  --target-dir target/tools/deny cargo-deny@$(DENY_VERSION); rm -rf target/tools/deny'

$(CHECKOV): local/checkov.txt $(TOOLS)
	@echo "Installing checkov into target/tools …" >&2
	@$(call prepare,checkov,1800) sh -ec 'python3 -m venv --clear target/tools/checkov; \
	  target/tools/checkov/bin/pip install --quiet --disable-pip-version-check -r $<'
	@touch $@

$(FUZZ): | prerequisites-cxx
	@echo "Building cargo-fuzz into target/tools, once …" >&2
	@$(call prepare,cargo-fuzz,3600) sh -ec 'nice -n 10 cargo install --quiet --locked --debug --root target/tools \
	  --target-dir target/tools/fuzz cargo-fuzz@$(FUZZ_VERSION); rm -rf target/tools/fuzz'

# Adobe's client for webhooks, with what its lock names. It says that it needs a newer Node, and works with Node 20.
$(ADOBE)/installed: $(wildcard local/adobe/*) | prerequisites-node
	@echo "Installing Adobe's client for webhooks into target/adobe, once …" >&2
	@mkdir -p $(ADOBE)
	@cp $^ $(ADOBE)/
	@$(call prepare,adobe,1800) npm ci --prefix $(ADOBE) --ignore-scripts --loglevel=error --no-audit --no-fund
	@touch $@

# The peers in other languages, with the libraries that their locks name, and the tools that measure them. The Node one has a part in C++.
$(BENCH)/installed: local/bench/requirements.txt $(wildcard local/bench/node/* local/bench/python/*) | prerequisites-cxx prerequisites-node
	@echo "Installing the peers of the benchmark into target/bench, once …" >&2
	@mkdir -p $(BENCH)/node
	@python3 -m venv --clear $(BENCH)/tools
	@$(BENCH)/tools/bin/pip install --quiet --disable-pip-version-check -r local/bench/requirements.txt
	@python3 -m venv --clear $(BENCH)/python
	@$(BENCH)/python/bin/pip install --quiet --disable-pip-version-check -r local/bench/python/requirements.txt
	@cp local/bench/python/handler.py $(BENCH)/python/
	@cp local/bench/node/* $(BENCH)/node/
	@cd $(BENCH)/node && export PATH="$(BENCH)/tools/bin:$$PATH" && npm ci --loglevel=error --no-audit --no-fund && npm run --silent build
	@touch $@
