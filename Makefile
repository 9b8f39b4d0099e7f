# Groundup: `make` prints what there is. Every target is a thin alias of the lab
# command (bin/lab) or of the go command.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

LAB     := bin/lab
MODULES := $(shell sed -n 's|^[[:space:]]*\./\(.*\)|\1|p' go.work)
# The patterns of each module: a workspace has no single `./...`.
PACKAGES := $(MODULES:%=./%/...)

## For learners

step-%: lab ## start the cluster of a step, or change the running one to it (make step-01, NODES=3, ON=qemu)
	@$(LAB) up $* $(if $(NODES),--nodes $(NODES)) $(if $(ON),--on $(ON))

verify: lab ## prove, line by line, that the running cluster does what its step says
	@$(LAB) verify

down: lab ## remove the cluster without a trace
	@$(LAB) down

read: lab ## the guide of the running step
	@$(LAB) read

tasks: lab ## the tasks of the running step, ticking themselves off
	@$(LAB) tasks

status: lab ## which step runs, on which nodes, and how its services are
	@$(LAB) status

doctor: lab ## is this machine able? each thing it lacks with the remedy
	@$(LAB) doctor

list: lab ## the steps, or with STEP=01 which main each program of it comes from
	@$(LAB) list $(STEP)

## For those who change the code

.PHONY: lab
lab: ## build the lab command alone
	@CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o bin/ ./tools/lab/cmd/lab ./tools/lab/cmd/lab-page

build: lab ## build the programs and images of a step (STEP=01; the last one without)
	@$(LAB) build $(STEP)

tools: ## build the real kubectl, etcdctl, crictl and critest into bin/
	@tools/clients/build.sh bin
	@cd tools/critools && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../../bin/ sigs.k8s.io/cri-tools/cmd/crictl
	@cd tools/critools && GOWORK=off CGO_ENABLED=0 go test -c -trimpath -ldflags='-s -w' -o ../../bin/critest sigs.k8s.io/cri-tools/cmd/critest

test: deps lint unit isolate docs steps vm-validate vms ## everything that must hold: this is what CI runs

deps: ## install what the tests need from Debian's packages, and say what
	@tools/deps.sh

lint: ## vet, staticcheck, formatting, and the lines between modules
	@test -z "$$(gofmt -l $(MODULES))" || { echo 'not formatted (gofmt -w):'; gofmt -l $(MODULES); exit 1; }
	go run ./tools/modules/cmd/modules
	go vet work
	go tool staticcheck $(PACKAGES)

unit: ## the unit tests with the race detector, in the workspace
	go test -race work

isolate: ## each module alone: a step sees only earlier steps
	@for m in $(MODULES); do echo "GOWORK=off $$m"; (cd $$m && GOWORK=off go build ./... && GOWORK=off go vet ./... && GOWORK=off go test $(ISOLATE_FLAGS) ./...) || exit 1; done

docs: lab ## what the guides quote must be what the source says
	@for g in README.md docs/*.md steps/*/README.md labs/*/guide.md; do $(LAB) read --file $$g --quote --check || exit 1; done

steps: lab ## start every step on this kernel, verify it, and look for leaks
	go test -count=1 -timeout 20m -run . ./tools/lab/e2e $(if $(V),-v) -args -e2e

critest: ## upstream's CRI conformance suite against our runtime
	steps/00-container/critest.sh

upstream: ## build upstream's components into bin/upstream: minutes (NAMES="kube-apiserver etcd")
	@tools/upstream/build.sh bin/upstream $(NAMES)

conformance: lab ## the specs of upstream's end-to-end suite that a step passes (STEP=02); builds what it needs of upstream
	@tools/upstream/conformance.sh $(or $(STEP),02)

agree: ## our scheduler's decisions beside those of upstream's plugins, on random clusters (CASES=5000; minutes to build)
	cd tools/upstream/schedulertest && GOWORK=off CGO_ENABLED=0 go test -count=1 -trimpath . -args -cases=$(or $(CASES),5000)

agree-api: ## our API server's answers beside upstream's, on random objects (CASES=10000 ONLY=pods SEED=1 VERBOSE=-v; minutes to build)
	@tools/upstream/build.sh bin/upstream kube-apiserver etcd
	@go build -o bin/agree/ ./steps/03-scheduler/cmd/kube-apiserver
	go run ./tools/lab/cmd/agree-api -server bin/agree/kube-apiserver -cases $(or $(CASES),10000) -seed $(or $(SEED),1) -only "$(ONLY)" $(VERBOSE)

agree-scheduler: ## our scheduler beside upstream's through the same random stories of nodes and pods (STORIES=40 SEED=1; minutes to build, and five)
	@tools/upstream/build.sh bin/upstream kube-scheduler
	@go build -o bin/agree/ ./steps/03-scheduler/cmd/kube-apiserver ./steps/03-scheduler/cmd/kube-scheduler
	go run ./tools/lab/cmd/agree-scheduler -stories $(or $(STORIES),40) -seed $(or $(SEED),1)

agree-kubelet: lab ## our kubelet beside upstream's, with the same random pods (STORIES=60 SEED=1 API=ours; minutes to build, and ten)
	@API=$(or $(API),upstream) tools/upstream/agree-kubelet.sh -stories $(or $(STORIES),60) -seed $(or $(SEED),1)

refusals: ## ask upstream's API server again how it refuses bad requests, for a test of ours to compare (minutes to build)
	@tools/upstream/build.sh bin/upstream kube-apiserver etcd
	go run ./tools/lab/cmd/judge bin/upstream sh -c 'cd steps/02-apiserver/cmd/kube-apiserver && go test -count=1 -run BadRequests . -args -record'

crash: ## kill the API server again and again under load, and look for lost writes and broken watches (LONG=3m)
	go test -count=1 -v -run Killed ./steps/02-apiserver/cmd/kube-apiserver -args -crash $(or $(LONG),3m)

bench-api: ## the API server beside upstream's, after `make upstream`
	@tools/upstream/build.sh bin/upstream kube-apiserver etcd
	go run ./tools/lab/cmd/bench -apiserver -o bench-api.json $(BENCH)

bench-scheduler: ## the scheduler beside upstream's, after `make upstream`
	@tools/upstream/build.sh bin/upstream kube-scheduler
	go run ./tools/lab/cmd/bench -scheduler -runs 1 -o bench-scheduler.json $(BENCH)

bench: lab ## measure, print a table, and keep it as bench.json
	tools/deps.sh bench && go run ./tools/lab/cmd/bench $(BENCH)

leaks: lab ## fifty times up and down, looking for anything left behind
	go test -count=1 -timeout 30m -run 'Leaks|Interrupted' ./tools/lab/e2e -v -args -e2e -rounds 50

## On a kernel of its own (docs/vms.md)

.PHONY: vm
vm: ## build the runner of virtual machines
	@CGO_ENABLED=0 go build -trimpath -o bin/vm/ ./vms/cmd/vm

vm-deps: ## install what virtual machines need from Debian's packages, and say what
	@vms/deps.sh

vm-image: vm ## make the machines' disk image from Debian's packages
	@bin/vm/vm image

ifeq ($(shell uname),Linux)
vm-step-%: vm lab ## the cluster of a step in virtual machines, until `make down` (ON=lima, ON=vagrant, NODES=3)
	@$(LAB) up $* --on $(or $(ON),qemu) $(if $(NODES),--nodes $(NODES))

vm-verify: vm lab ## verify that cluster, or with STEP=01 a step in a throw-away machine
	@$(if $(STEP),$(LAB) build $(STEP) && bin/vm/vm run --systemd --memory 3072 --repo -- vms/verify.sh $(STEP),$(LAB) verify)
else
# Elsewhere, on a Mac, the lab command is the machine's: Lima has the repository in it.
vm-step-%:
	@vms/lima/up.sh 1 && limactl shell --workdir /groundup node-1 sudo make step-$* ON=host

vm-verify:
	@limactl shell --workdir /groundup node-1 sudo make verify
endif

vms: vm-deps vm lab ## verify every step in one virtual machine: the part of `make test` that runs there
	@vms/verify-all.sh

vm-test: vm ## run unit tests that need root in a virtual machine (PKG=./steps/00-container/...)
	@bin/vm/vm test --memory 3072 --timeout 5m $(or $(PKG),./steps/00-container/... ./steps/01-kubelet/... ./tools/lab/box ./tools/lab/fabric ./tools/lab/initd)

vm-test-all: vm-deps vm lab ## all that needs virtual machines and is too slow for `make test`: about an hour without KVM
	@vms/test-all.sh

vm-lima-test: lab ## start a machine by Lima, from a local image, with step 01 in it
	@vms/lima/test.sh

vm-vagrant-test: lab ## start machines by Vagrant and libvirt, from a local box, with step 01 in them
	@vms/vagrant-test.sh

vm-validate: ## let Lima and Vagrant read their definitions
	@vms/validate.sh --strict

## Housekeeping

modules: ## write the require and replace lines between modules
	go run ./tools/modules/cmd/modules -w

clean: ## remove what was built
	rm -rf bin

help:
	@awk 'BEGIN {FS = ":.*## "} /^## / {print "\n" substr($$0, 4)} /^[a-z%-]+:.*## / {sub(/:.*/, "", $$1); sub(/%/, "NN", $$1); printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: help verify down read tasks status doctor list build tools test deps lint unit isolate docs steps critest upstream conformance agree agree-api agree-scheduler agree-kubelet refusals crash bench bench-api bench-scheduler leaks vm-deps vm-image vm-verify vms vm-test vm-test-all vm-lima-test vm-vagrant-test vm-validate modules clean
