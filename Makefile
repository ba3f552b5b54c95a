# The targets of the project; `make help` lists them. Anything longer than a
# line or two is a script in hack/. Three Go modules: the root, test/ with
# everything that starts a real control plane, and test/providers with the SDKs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

MODULE  := github.com/oidc-injector/oidc-injector
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X $(MODULE)/internal/version.version=$(VERSION)
# The login program runs in every pod, so it is small: a tag of net/http leaves out
# HTTP/2, which it never speaks, and functions are not inlined, but for those of
# cryptography, whose speed a handshake feels.
LOGIN_FLAGS := -tags=nethttpomithttp2 -gcflags=all=-l -gcflags=crypto/...=

# Everything is pure Go; one setting for all targets lets them share the build
# cache, and a C compiler is needed for the race detector only.
export CGO_ENABLED := 0

# Every Go module: those of the project, and those of the tools.
PROJECT := . test test/providers
MODULES := $(PROJECT) $(patsubst %/go.mod,%,$(wildcard hack/tools/go.mod hack/tools/*/go.mod))

# What a caller may set, as in `make fuzz FUZZTIME=5m`.
BENCH       ?= .
BENCHCOUNT  ?= 1
FUZZTIME    ?= 20s
E2E_TIMEOUT ?= 60m

##@ Build

.PHONY: build
build: ## Build the binaries into bin/
	go build -trimpath -ldflags='$(LDFLAGS)' -o bin/webhook ./cmd/webhook
	go build -trimpath -ldflags='$(LDFLAGS)' $(LOGIN_FLAGS) -o bin/oidc-login ./cmd/oidc-login
	go build -trimpath -ldflags='$(LDFLAGS)' -o bin/kubectl-oidc_injector ./cmd/kubectl-oidc_injector

.PHONY: image
image: ## Build the images into dist/, by ko; PUSH=true pushes them to KO_DOCKER_REPO
	VERSION='$(VERSION)' hack/image $(if $(PUSH),--push)

.PHONY: generate
generate: ## Write the chart's README and deploy/ anew, from the chart
	hack/generate

.PHONY: dashboard-picture
dashboard-picture: ## Record real metrics for two minutes and draw the dashboard with them, for docs/
	go -C test run ./cmd/dashboard
	go -C test run ./cmd/pictures

.PHONY: clean
clean: ## Remove what the targets wrote into the checkout
	rm -rf bin dist

##@ Test

.PHONY: test
test: unit providers e2e ## Run all tests

.PHONY: unit
unit: ## Run the unit tests
	go test ./...

.PHONY: providers
providers: ## Try the providers with the SDKs that read them; the first run compiles those
	go -C test/providers test ./...

.PHONY: race
race: ## Run the unit tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -short ./...

# What tests start is compiled before them: beside a compiler they would miss the ends
# of leases and certificates.
BUILD_SERVERS = go -C test run ./cmd/cluster build $(if $(filter 0,$(shell id -u)),--node) && \
	for server in vault minio ory; do go -C test run ./cmd/$$server build || exit 1; done

.PHONY: e2e
e2e: ## Run the tests against a real Kubernetes; the first run compiles it
	go -C test build ./...
	$(BUILD_SERVERS)
	go -C test test -count=1 -p=2 -v -timeout=$(E2E_TIMEOUT) ./...

# The oldest release that is tested on, beside the newest.
OLDER_KUBERNETES := v1.34.4
# What depends on the release: the API server's and the kubelet's part. Of the chart and
# of logins some tests suffice, of certificates and the detector none. e2e/shapes has
# the fields of the newest.
OLDER := OIDC_INJECTOR_KUBERNETES_VERSION=$(OLDER_KUBERNETES) go -C test test -short -count=1 -p=2 -v -timeout=$(E2E_TIMEOUT)
OLDER_LOGIN := ^Test(Scenario|Controllers|PodSecurity|StrictFields|Quotas|Reinvocation|InjectedAgain|AnotherCluster|CABundle)$$

.PHONY: e2e-older
e2e-older: ## Run the end-to-end tests on an older Kubernetes, too
	OIDC_INJECTOR_KUBERNETES_VERSION=$(OLDER_KUBERNETES) && export OIDC_INJECTOR_KUBERNETES_VERSION && $(BUILD_SERVERS)
	$(OLDER) ./e2e ./e2e/node
	$(OLDER) -run='^TestInstall$$/^(defaults|upgrade)$$' ./e2e/install
	$(OLDER) -run='$(OLDER_LOGIN)' ./e2e/login

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each
	hack/fuzz $(FUZZTIME)

.PHONY: golden
golden: ## Rewrite the golden files; read the diff before you commit it
	hack/golden

.PHONY: cover
cover: ## Measure the coverage of the unit tests: bin/cover.html
	mkdir -p bin
	go test -coverpkg=./internal/... -coverprofile=bin/cover.out ./...
	go tool cover -html=bin/cover.out -o bin/cover.html
	go tool cover -func=bin/cover.out | tail -n 1

##@ See it work

.PHONY: demo
demo: ## Start Kubernetes and the webhook and inject a pod; DEMO=keep leaves it running
	go -C test run ./cmd/demo

.PHONY: kind
kind: ## Install the chart into a kind cluster and try it (needs Docker); KIND=delete removes it
	hack/kind $(KIND)

.PHONY: bench
bench: ## Run the benchmarks matching BENCH, BENCHCOUNT times, then a load test
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(BENCHCOUNT) ./...
	go -C test run ./cmd/load

##@ Check

.PHONY: lint
lint: ## Run the linters over all modules of the project
	hack/tool golangci-lint config verify
	for dir in $(PROJECT); do (cd $$dir && "$(CURDIR)/hack/tool" golangci-lint run ./...); done

.PHONY: fmt
fmt: ## Format the code
	hack/tool golangci-lint fmt

.PHONY: verify-generate
verify-generate: ## Check that the chart's README and deploy/ are up to date
	hack/generate --check

.PHONY: vuln
vuln: ## Look for known vulnerabilities that the code reaches
	hack/vuln

.PHONY: verify-reproducible
verify-reproducible: ## Build what is committed twice, in two folders, and compare
	hack/reproducible

.PHONY: tidy
tidy: ## Tidy every go.mod
	for dir in $(MODULES); do go -C $$dir mod tidy; done

.PHONY: verify-tidy
verify-tidy: ## Check that the go.mod files are tidy, but those of single tools
	for dir in $(PROJECT) hack/tools; do go -C $$dir mod tidy -diff; done

.PHONY: ci
ci: ## Run what continuous integration runs
	bash .ci/run

##@ Help

.PHONY: help
help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
