# make help lists the targets.

# A distribution's Go may be told never to fetch the one that go.mod wants.
export GOTOOLCHAIN ?= auto
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI := go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint
# brood speaks no HTTP/2: without it the binary is half a megabyte smaller.
TAGS := nethttpomithttp2
STATIC = CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '-s -w'
FUZZTIME ?= 10s
TESTFLAGS ?=
# .ci/run has another, which takes the same flags and packages.
GOTEST ?= go test
BENCHFLAGS ?=
# What lasts as long as one likes may take longer than go test's ten minutes.
LONG = $(if $(BROOD_TEST_FULL)$(BROOD_TEST_PROMETHEUS)$(BROOD_TEST_SOAK),-timeout 60m)
# The one build tag there is, and the packages that it changes.
TAGGED := webconfig
TAGGED_PACKAGES := ./internal/webconfig ./entrypoint ./cmd/brood
GENERATED := docs/brood.1 docs/configuration.md docs/metrics.md deploy/kubernetes/prometheus-operator/prometheusrule.yaml

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: build
build: go ## bin/brood, a static binary
	$(STATIC) -o bin/brood ./cmd/brood

.PHONY: binaries
binaries: build ## bin/brood, and bin/brood-webconfig with TLS and passwords
	$(STATIC) -tags $(TAGS),$(TAGGED) -o bin/brood-webconfig ./cmd/brood

.PHONY: demo
demo: build ## brood with three workers of a web service, for you to watch
	@$(STATIC) -o bin/web ./examples/web
	@$(STATIC) -o bin/demo ./examples/demo
	@bin/demo bin/brood bin/web

# Results are not cached: Go does not see the programs that the tests build and
# run. With BROOD_TEST_REQUIRE=1 nothing is skipped: what is missing is an error.
.PHONY: test
test: go ## vet, format and all tests, with the race detector
	@scripts/need \
		'unshare=util-linux:tests of brood as PID 1 are skipped' \
		'ps=procps:some tests are skipped' \
		'tini=tini:comparisons with it are skipped' \
		'dumb-init=dumb-init:comparisons with it are skipped' \
		'catatonit=catatonit:a comparison with it is skipped' \
		'supervisord=supervisor:a comparison with it is skipped' \
		's6-svscan=s6:a comparison with it is skipped' \
		'runsvdir=runit:a comparison with it is skipped' \
		'gunicorn=gunicorn:tests with a Python service are skipped' \
		'curl=curl:an example of the docs fails' \
		'/usr/lib/python3/dist-packages/prometheus_client=python3-prometheus-client:tests with the Python client are skipped' \
		'nginx=nginx-light:tests with nginx are skipped' \
		'wrk=wrk:tests of services under load are skipped' \
		'expect=expect:tests at a terminal are skipped' \
		'busybox=busybox-static:tests with a small shell and of images are skipped' \
		'promtool=prometheus:tests with a real Prometheus are skipped' \
		'chromium=chromium fonts-dejavu-core:tests of the status page in a browser are skipped' \
		'docker=docker.io docker-compose:tests with a Docker engine are skipped' \
		'qemu-system-x86_64=qemu-system-x86:tests on a machine with cgroup v2 only are skipped' \
		$(if $(BROOD_TEST_FULL),'qemu-system-aarch64=qemu-system-arm:tests on an arm64 machine are skipped') \
		'debootstrap=debootstrap:tests of the examples are skipped where no image can be pulled' \
		'gcc=gcc libc6-dev:tests run without the race detector'
	go vet ./...
	go vet -tags $(TAGGED) $(TAGGED_PACKAGES)
	@files=$$(gofmt -l .); \
		if [ -n "$$files" ]; then echo "not formatted, run make fmt: $$files"; exit 1; fi
	@if command -v gcc >/dev/null; then race=-race; export CGO_ENABLED=1; else race=; fi; set -x; \
		go test $$race -count=1 -tags $(TAGGED) $(TESTFLAGS) ./internal/webconfig; \
		$(GOTEST) $$race -count=1 $(LONG) $(TESTFLAGS) ./...
	cd test/manifests && go vet ./... && go test -count=1 ./...

# The first time it builds Kubernetes: minutes of all CPUs, and 4 GB of disk.
KUBERNETES ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/brood-kubernetes
.PHONY: e2e-k8s
e2e-k8s: go ## brood in a real Kubernetes cluster, and the results in docs/kubernetes.md
	@scripts/need \
		'etcd=etcd-server:the cluster keeps its objects there' \
		'containerd=containerd:the cluster runs its containers by it' \
		'runc=runc:the cluster runs its containers by it' \
		'/usr/lib/cni/ptp=containernetworking-plugins:the network of the pods' \
		'nft=nftables:the addresses of Services' \
		'ip=iproute2:the network of the node' \
		'openssl=openssl:keys' \
		'nsenter=util-linux:the namespaces of the cluster'
	scripts/kubernetes.sh build $(KUBERNETES)
	BROOD_TEST_REQUIRE=1 BROOD_TEST_KUBERNETES=$(KUBERNETES) BROOD_TEST_RESULTS=$(CURDIR)/docs/kubernetes.md \
		go test -count=1 -timeout 30m -parallel 5 -v $(TESTFLAGS) ./test/kubernetes

.PHONY: race
race: go ## the tests that race most, ten times over
	CGO_ENABLED=1 go test -race -count=10 ./fanout ./reaper ./pidfiles

.PHONY: lint
lint: go ## golangci-lint, the build for arm64, docs as generated
	$(GOLANGCI) run
	cd test/manifests && $(GOLANGCI) run
	$(GOLANGCI) run --build-tags $(TAGGED) $(TAGGED_PACKAGES)
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/brood
	@before=$$(cksum $(GENERATED)); go run ./internal/gendocs; \
		if [ "$$before" != "$$(cksum $(GENERATED))" ]; then echo 'docs were behind the code: commit what make docs has changed'; exit 1; fi

.PHONY: fmt
fmt: go ## format the code
	$(GOLANGCI) fmt

.PHONY: docs
docs: go ## the parts of docs/ that come from the code
	go run ./internal/gendocs

.PHONY: fuzz
fuzz: go ## each fuzz test for FUZZTIME (10s)
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | sed 's/:func / /' | while read -r file name; do \
		tags=; if grep -q '^//go:build $(TAGGED)$$' $$file; then tags='-tags $(TAGGED)'; fi; \
		echo "$$(dirname $$file) $$name"; \
		go test $$tags -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$(dirname $$file) </dev/null; \
	done

.PHONY: cover
cover: go ## coverage by the tests, in bin/cover.html
	@mkdir -p bin
	go test -coverpkg=./... -coverprofile=bin/cover.out ./...
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -n 1

# BENCHFLAGS=-quick takes five minutes at most, not 15; -write puts the tables into docs/.
.PHONY: bench
bench: go ## brood beside C and its peers: docs/benchmarks.md, docs/comparison.md
	@scripts/need \
		'gcc=gcc libc6-dev:there is nothing to compare with' \
		'tini=tini:rows go without it' \
		'dumb-init=dumb-init:rows go without it' \
		'catatonit=catatonit:rows go without it' \
		's6-svscan=s6:rows go without it' \
		'runsvdir=runit:rows go without it' \
		'supervisord=supervisor:rows go without it' \
		'prometheus-process-exporter=prometheus-process-exporter:rows go without it'
	@go run ./bench $(BENCHFLAGS)

.PHONY: sbom
sbom: build ## bin/brood.cdx.json, the components of bin/brood
	go run ./internal/sbom bin/brood >bin/brood.cdx.json

.PHONY: reproducible
reproducible: go ## build twice with empty caches, and compare
	BROOD_TEST_FULL=1 go test -count=1 -run SameWherever -v ./test/supply

# It asks vuln.go.dev, so it is no part of what runs without the internet.
.PHONY: vuln
vuln: go ## known vulnerabilities of what brood calls, from vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -tags $(TAGS),$(TAGGED) ./cmd/brood

.PHONY: proof
proof: go ## all that is too long for CI, one after another: hours
	@scripts/proof

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

.PHONY: go
go:
	@scripts/need go
