# make demo · make test · make bench · make docs: each installs what it needs first.
SHELL := /bin/bash
SWIFT ?= swift
CURVATURE := .build/release/curvature

.PHONY: demo test bench docs format lint examples snippets templates build system

demo: build
	$(CURVATURE) run Examples/burgers.yaml --overwrite
	$(CURVATURE) plot runs/burgers -o runs/burgers/burgers.png

test: system
	@scripts/install-system-packages --tests
	$(SWIFT) build -c release --build-tests
	$(SWIFT) test -c release --skip-build

bench: build
	Benchmarks/run

docs: system
	$(SWIFT) package --allow-writing-to-directory .build/docs generate-documentation --target Curvature --output-path .build/docs

examples: build
	Examples/run

snippets: build
	@scripts/install-system-packages --tests
	Tests/Snippets/check

templates: build
	Tests/Templates/check

lint:
	$(SWIFT) format lint --strict -r Package.swift Sources Plugins Tests Examples

format:
	$(SWIFT) format -i -r Package.swift Sources Plugins Tests Examples

build: system
	$(SWIFT) build -c release --product curvature

system:
	@scripts/install-system-packages
