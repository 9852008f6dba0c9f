#!/bin/sh
# Build web/dist: the page, Pyodide, the page's build of our wheel and its lock file, in one folder.
# It needs the package registries while it builds, and no network when the folder is opened.
#
# usage: ./build_wasm.sh [--tests-too]
set -eu
cd "$(dirname "$0")"
make --silent .venv/ready-test
.venv/bin/python -m scripts.build_web "$@"
.venv/bin/python -m scripts.audit_wheels
